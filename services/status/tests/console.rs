//! What operators are promised: who is there, what it costs and what is wrong, without a read that nobody else needs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header},
};
use http_body_util::BodyExt;
use metrifold_exporter::ExporterSettings;
use metrifold_model::{
    Descriptor, DescriptorList, Incarnation, Kind, Labels, Namespace, Seq, Values, Worker,
};
use metrifold_session::{Answer, Commit, DescriptorPart, Instant, Payload, Push, ShardSnapshot};
use metrifold_status::{Console, Identity, Observed, ObservedStore, console};
use metrifold_store::{
    CommitOutcome, EmbeddedSettings, EmbeddedStore, RedisSettings, RedisStore, ShardIndex, Store, StoreError,
};
use metrifold_telemetry::Metrics;
use prometheus::Registry;
use serde_json::{Value, json};
use tower::ServiceExt;

/// A store that counts how often it is asked.
struct Asked {
    inner: Arc<dyn Store>,
    calls: AtomicUsize,
}

impl Asked {
    fn inner(&self) -> &dyn Store {
        self.calls.fetch_add(1, Ordering::SeqCst);
        &*self.inner
    }
}

#[async_trait]
impl Store for Asked {
    async fn push(&self, namespace: &Namespace, push: &Push) -> Result<Answer, StoreError> {
        self.inner().push(namespace, push).await
    }

    async fn shards(&self, namespace: &Namespace) -> Result<u16, StoreError> {
        self.inner().shards(namespace).await
    }

    async fn snapshot(
        &self,
        namespace: &Namespace,
        shard: ShardIndex,
    ) -> Result<Arc<ShardSnapshot>, StoreError> {
        self.inner().snapshot(namespace, shard).await
    }

    async fn commit(
        &self,
        namespace: &Namespace,
        shard: ShardIndex,
        commit: &Commit,
    ) -> Result<CommitOutcome, StoreError> {
        self.inner().commit(namespace, shard, commit).await
    }

    async fn advance_age(
        &self,
        namespace: &Namespace,
        shard: ShardIndex,
        expected: Instant,
        age: Instant,
    ) -> Result<CommitOutcome, StoreError> {
        self.inner().advance_age(namespace, shard, expected, age).await
    }

    async fn restore(
        &self,
        namespace: &Namespace,
        shard: ShardIndex,
        memory: Option<&ShardSnapshot>,
        settle: Duration,
    ) -> Result<CommitOutcome, StoreError> {
        self.inner().restore(namespace, shard, memory, settle).await
    }

    async fn namespaces(&self) -> Result<Vec<Namespace>, StoreError> {
        self.inner().namespaces().await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.inner().check().await
    }
}

struct Bench {
    asked: Arc<Asked>,
    store: ObservedStore,
    observed: Arc<Observed>,
    router: Router,
}

fn bench_on(inner: Arc<dyn Store>) -> Bench {
    let metrics = Metrics::register(&Registry::new()).expect("a new registry");
    let settings = ExporterSettings::default();
    let observed = Observed::new(settings.namespace.clone(), settings.ttl, metrics);
    let asked = Arc::new(Asked { inner, calls: AtomicUsize::new(0) });
    let identity = Identity {
        role: "serve",
        version: "1.2.3",
        takes_pushes: true,
        shows_view: true,
        store: "embedded",
        store_address: None,
    };
    let store = ObservedStore::new(asked.clone(), observed.clone());
    let router = console(Console::new(identity, settings, observed.clone()));
    Bench { asked, store, observed, router }
}

fn bench() -> Bench {
    bench_on(Arc::new(EmbeddedStore::open(EmbeddedSettings::default()).expect("in memory")))
}

impl Bench {
    async fn response(&self, request: Request<Body>) -> (StatusCode, axum::http::HeaderMap, String) {
        let response = self.router.clone().oneshot(request).await.expect("the router answers");
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        (head.status, head.headers, String::from_utf8(body.to_vec()).expect("text"))
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let request = Request::get(path).header(header::HOST, "metrics.example:9091");
        let (status, _, body) = self.response(request.body(Body::empty()).expect("a request")).await;
        (status, serde_json::from_str(&body).unwrap_or_else(|_| panic!("JSON: {body}")))
    }

    async fn ok(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body
    }

    /// One pass of those who read the store anyway.
    async fn pass(&self) {
        let mut namespaces = self.store.namespaces().await.expect("readable");
        namespaces.push(Namespace::default());
        for namespace in namespaces {
            for shard in 0..self.store.shards(&namespace).await.expect("readable") {
                self.store.snapshot(&namespace, ShardIndex(shard)).await.expect("readable");
            }
        }
    }

    /// A source that says hello and pushes once, unless it is refused.
    async fn push(&self, namespace: &Namespace, source: u64, descriptors: &DescriptorList, ended: bool) {
        let worker = Worker {
            instance: format!("host-{}", source / 10),
            process: source.to_string(),
            labels: Labels::new([("zone", "a")]),
        };
        let values = Values::from_slots((0..descriptors.len()).map(|slot| slot as f64).collect());
        for (seq, payload) in [(1, Payload::Hello), (2, Payload::Values(values))] {
            let push = Push {
                incarnation: Incarnation(source),
                seq: Seq(seq),
                acked: Seq(seq - 1),
                epoch: None,
                worker: Arc::new(worker.clone()),
                descriptors: DescriptorPart::after(descriptors, if seq == 1 { 0 } else { descriptors.len() }),
                payload,
                base: None,
                ended: ended && seq == 2,
            };
            let answer = self.store.push(namespace, &push).await.expect("in memory");
            if matches!(answer, Answer::Refused(_)) {
                return;
            }
            assert!(matches!(answer, Answer::Ok { .. }), "{answer:?}");
        }
    }
}

fn counters(family: &str, kind: Kind, paths: usize) -> DescriptorList {
    let one = |path: usize| {
        let labels = Labels::new([("path", format!("/{path}")), ("method", "GET".into())]);
        let suffix = if kind == Kind::Counter { "_total" } else { "_sum" };
        Descriptor::new(kind, family, format!("{family}{suffix}"), labels, "Requests.")
    };
    (0..paths).map(one).collect()
}

#[tokio::test]
async fn workers_are_listed_by_host_and_one_by_one_page_by_page() {
    let (bench, own) = (bench(), Namespace::default());
    let descriptors = counters("req", Kind::Counter, 3);
    for source in 1..=25 {
        bench.push(&own, source, &descriptors, source == 25).await;
    }
    bench.pass().await;
    let answer = bench.ok("/api/v1/workers?limit=10&offset=20").await;
    assert_eq!(answer["sources"], json!({"live": 24, "dead": 1, "folded": 0}));
    assert_eq!((&answer["total"], &answer["hosts_total"]), (&json!(25), &json!(3)));
    assert_eq!(answer["hosts"][0]["instance"], "host-1");
    assert_eq!(answer["hosts"][0]["live"], 10);
    let listed = answer["workers"].as_array().expect("a list");
    assert_eq!(listed.len(), 5);
    assert_eq!(listed[4]["state"], "dead");
    assert_eq!(listed[4]["process"], "25");
    assert_eq!(listed[4]["labels"], json!({"zone": "a"}));
    assert_eq!((&listed[4]["series"], &listed[4]["bytes"]), (&json!(3), &json!(24)));
    let of_host = bench.ok("/api/v1/workers?instance=host-2&state=live").await;
    assert_eq!(of_host["total"], 5);
}

#[tokio::test]
async fn a_question_that_cannot_be_answered_says_why() {
    let bench = bench();
    let (status, body) = bench.get("/api/v1/workers").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body["error"].as_str().is_some_and(|error| error.contains("not been read")), "{body}");
    assert_eq!(bench.get("/sd").await.0, StatusCode::SERVICE_UNAVAILABLE, "Prometheus keeps its list");
    bench.pass().await;
    for (path, status, word) in [
        ("/api/v1/workers?limit=1001", StatusCode::BAD_REQUEST, "1000"),
        ("/api/v1/workers?state=alive", StatusCode::BAD_REQUEST, "live, dead, folded"),
        ("/api/v1/workers?host=a", StatusCode::BAD_REQUEST, "host"),
        ("/api/v1/families?limit=201", StatusCode::BAD_REQUEST, "200"),
        ("/api/v1/families?offset=-1", StatusCode::BAD_REQUEST, "offset"),
        ("/api/v1/status?namespace=shpo", StatusCode::NOT_FOUND, "metrifold"),
        ("/api/v1/history?namespace=%7B", StatusCode::NOT_FOUND, "metrifold"),
    ] {
        let (found, body) = bench.get(path).await;
        assert_eq!(found, status, "{path}");
        assert!(body["error"].as_str().is_some_and(|error| error.contains(word)), "{path}: {body}");
    }
}

#[tokio::test]
async fn families_are_ranked_by_cost_with_the_labels_that_make_them_large() {
    let (bench, own) = (bench(), Namespace::default());
    for source in 1..=4 {
        bench.push(&own, source, &counters("small", Kind::Counter, 2), false).await;
    }
    bench.push(&own, 5, &counters("large", Kind::Counter, 30), false).await;
    bench.pass().await;
    let answer = bench.ok("/api/v1/families?limit=1").await;
    assert_eq!((&answer["total"], &answer["series"], &answer["bytes"]), (&json!(2), &json!(32), &json!(304)));
    let first = &answer["families"][0];
    assert_eq!(
        (&first["name"], &first["series"], &first["bytes"]),
        (&json!("large"), &json!(30), &json!(240))
    );
    assert_eq!(first["labels"][0]["name"], "path");
    assert_eq!(first["labels"][0]["values_total"], 30);
    assert_eq!(first["labels"][0]["values"].as_array().map(Vec::len), Some(5));
    assert_eq!(first["labels"][1]["values"], json!([{"value": "GET", "series": 30}]));
    let second = bench.ok("/api/v1/families?limit=1&offset=1").await;
    assert_eq!((&second["families"][0]["values"], &second["families"][0]["series"]), (&json!(8), &json!(2)));
}

#[tokio::test]
async fn status_names_conflicts_refusals_and_limits() {
    let (bench, own) = (bench(), Namespace::default());
    bench.push(&own, 1, &counters("req", Kind::Counter, 2), false).await;
    bench.push(&own, 2, &counters("req", Kind::Summary, 3), false).await;
    bench.push(&own, 3, &counters(&"x".repeat(2_000), Kind::Counter, 1), false).await;
    bench.pass().await;
    let status = bench.ok("/api/v1/status").await;
    assert_eq!((&status["role"], &status["version"]), (&json!("serve"), &json!("1.2.3")));
    assert_eq!(status["store"]["state"], "ok");
    assert_eq!(status["store"]["shards"], json!({"ok": 1}));
    assert_eq!(status["conflicts_total"], 1);
    assert_eq!(status["conflicts"][0]["family"], "req");
    assert_eq!(status["conflicts"][0]["samples"], 3);
    assert_eq!(status["refusals"][0]["last_process"], "3");
    assert!(
        status["refusals"][0]["reason"].as_str().is_some_and(|reason| reason.contains("limit")),
        "{status}"
    );
    assert_eq!(status["limits"]["name_bytes_max"], 1_024);
}

#[tokio::test]
async fn service_discovery_has_one_target_per_namespace_under_the_address_that_was_asked() {
    let (bench, shop) = (bench(), Namespace::new("shop").expect("a good name"));
    bench.push(&shop, 1, &counters("req", Kind::Counter, 1), false).await;
    bench.pass().await;
    let target = |namespace: &str| {
        json!({
            "targets": ["metrics.example:9091"],
            "labels": {"__param_namespace": namespace, "__meta_metrifold_namespace": namespace},
        })
    };
    assert_eq!(bench.ok("/sd").await, json!([target("metrifold"), target("shop")]));
    let listed = bench.ok("/api/v1/status?namespace=shop").await;
    assert_eq!(listed["namespaces"], json!(["metrifold", "shop"]));
}

#[tokio::test]
async fn no_question_asks_the_store() {
    let (bench, own) = (bench(), Namespace::default());
    bench.push(&own, 1, &counters("req", Kind::Counter, 1), false).await;
    bench.pass().await;
    let before = bench.asked.calls.load(Ordering::SeqCst);
    for path in ["/api/v1/status", "/api/v1/workers", "/api/v1/families", "/api/v1/history", "/sd"] {
        bench.ok(path).await;
    }
    assert_eq!(bench.asked.calls.load(Ordering::SeqCst), before);
}

#[tokio::test]
async fn a_store_that_cannot_be_read_is_told_with_the_reason() {
    // Nobody listens on port 1.
    let settings = RedisSettings::new("redis://127.0.0.1:1".parse().expect("an address"));
    let bench = bench_on(Arc::new(RedisStore::connect(settings).expect("connects later")));
    assert_eq!(bench.ok("/api/v1/status").await["store"]["state"], "unread");
    bench.store.namespaces().await.expect_err("nobody is there");
    let status = bench.ok("/api/v1/status").await;
    assert_eq!(status["store"]["state"], "unreachable");
    assert!(status["store"]["reason"].as_str().is_some_and(|reason| reason.contains("reach")), "{status}");
    assert!(status["store"]["read_age_seconds"].is_null(), "{status}");
}

#[tokio::test(start_paused = true)]
async fn history_shows_births_and_deaths_by_interval() {
    let (bench, own) = (bench(), Namespace::default());
    bench.pass().await;
    let recorder = tokio::spawn(bench.observed.clone().record());
    tokio::task::yield_now().await;
    bench.push(&own, 1, &counters("req", Kind::Counter, 1), false).await;
    bench.push(&own, 2, &counters("req", Kind::Counter, 1), true).await;
    bench.pass().await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    let history = bench.ok("/api/v1/history").await;
    recorder.abort();
    assert_eq!(history["live"], json!([1, 1]));
    assert_eq!((&history["born"], &history["died"]), (&json!([2, 0]), &json!([1, 0])));
    assert_eq!(history["pushes"], json!([0, 0]), "counted where the store is metered");
    assert_eq!(history["interval_seconds"], 5.0);
}

#[tokio::test]
async fn the_page_allows_nothing_inline_and_nothing_from_elsewhere() {
    let bench = bench();
    let files = ["/", "/assets/page.css", "/assets/page.mjs", "/assets/sections.mjs", "/assets/icon.svg"];
    for path in files {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let (status, headers, body) = bench.response(request).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().expect("text");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        let elsewhere = body.replace("http://www.w3.org/", "");
        assert!(
            !elsewhere.contains("http://") && !elsewhere.contains("https://"),
            "{path} names another server"
        );
        assert!(!body.contains(" style=\"") && !body.contains(" onclick=\""), "{path}");
    }
}
