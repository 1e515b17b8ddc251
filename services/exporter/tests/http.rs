//! What a scraper is promised: a view that is whole and never falls, or a reason in time.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode},
};
use http_body_util::BodyExt;
use metrifold_exporter::{Exporter, ExporterSettings, build};
use metrifold_model::{Descriptor, Epoch, Incarnation, Kind, Labels, Namespace, Seq, Values, Worker};
use metrifold_session::{Answer, Commit, Instant, Push, Record, ShardHead, ShardSnapshot};
use metrifold_store::{CommitOutcome, ShardIndex, Store, StoreError};
use metrifold_telemetry::Metrics;
use parking_lot::Mutex;
use prometheus::Registry;
use tower::ServiceExt;

/// A store of one shard that shows what the test puts there.
#[derive(Default)]
struct Scripted {
    shard: Mutex<ShardSnapshot>,
    failure: Mutex<Option<String>>,
    hangs: Mutex<bool>,
}

#[async_trait]
impl Store for Scripted {
    async fn push(&self, _: &Namespace, _: &Push) -> Result<Answer, StoreError> {
        Ok(Answer::Sealed)
    }

    async fn shards(&self, _: &Namespace) -> Result<u16, StoreError> {
        Ok(1)
    }

    async fn snapshot(&self, _: &Namespace, _: ShardIndex) -> Result<Arc<ShardSnapshot>, StoreError> {
        if *self.hangs.lock() {
            std::future::pending::<()>().await;
        }
        match &*self.failure.lock() {
            Some(reason) => Err(StoreError::Unavailable(reason.clone())),
            None => Ok(Arc::new(self.shard.lock().clone())),
        }
    }

    async fn commit(&self, _: &Namespace, _: ShardIndex, _: &Commit) -> Result<CommitOutcome, StoreError> {
        Ok(CommitOutcome::Conflict)
    }

    async fn advance_age(
        &self,
        _: &Namespace,
        _: ShardIndex,
        _: Instant,
        _: Instant,
    ) -> Result<CommitOutcome, StoreError> {
        Ok(CommitOutcome::Conflict)
    }

    async fn restore(
        &self,
        _: &Namespace,
        _: ShardIndex,
        _: Option<&ShardSnapshot>,
        _: Duration,
    ) -> Result<CommitOutcome, StoreError> {
        Ok(CommitOutcome::Conflict)
    }

    async fn namespaces(&self) -> Result<Vec<Namespace>, StoreError> {
        Ok(vec![Namespace::default(), Namespace::new("shop").expect("a good name")])
    }

    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

struct Bench {
    store: Arc<Scripted>,
    router: Router,
}

fn bench() -> Bench {
    let store = Arc::new(Scripted::default());
    *store.shard.lock() = shard(Epoch(1), false, 7.0);
    let own = Registry::new();
    let metrics = Metrics::register(&own).expect("a new registry");
    let exporter = Exporter::new(store.clone(), ExporterSettings::default(), metrics);
    Bench { store, router: build(exporter, own) }
}

/// One live source that has counted `requests` in this epoch.
fn shard(epoch: Epoch, is_settling: bool, requests: f64) -> ShardSnapshot {
    let counter = Descriptor::new(Kind::Counter, "req", "req_total", Labels::default(), "Requests.");
    let record = Record {
        seq: Seq(2),
        epoch,
        seen: Instant(1_000),
        worker: Arc::new(Worker::default()),
        descriptors: [counter].into_iter().collect(),
        values: Values::from_slots(vec![requests]),
        base: Values::default(),
        ended: false,
    };
    ShardSnapshot {
        head: ShardHead { changed: Instant(1_000), settling: is_settling, ..ShardHead::open(epoch) },
        now: Instant(1_000),
        records: BTreeMap::from([(Incarnation(1), Arc::new(record))]),
        ..ShardSnapshot::default()
    }
}

impl Bench {
    async fn request(&self, request: axum::http::request::Builder) -> (StatusCode, HeaderMap, String) {
        let request = request.body(Body::empty()).expect("a good request");
        let response = self.router.clone().oneshot(request).await.expect("the router answers");
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        (head.status, head.headers, String::from_utf8(body.to_vec()).expect("text"))
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let (status, _, body) = self.request(Request::get(path)).await;
        (status, body)
    }
}

#[tokio::test]
async fn a_scrape_is_text_0_0_4_with_its_exact_content_type() {
    let (status, headers, body) = bench().request(Request::get("/metrics")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert!(body.contains("# TYPE req_total counter\nreq_total 7"), "{body}");
}

#[tokio::test]
async fn head_has_the_headers_and_no_body() {
    let (status, headers, body) = bench().request(Request::head("/metrics")).await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, ""));
    assert_eq!(headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
}

#[tokio::test]
async fn an_unknown_namespace_is_404_and_names_the_known_ones() {
    let bench = bench();
    let (status, body) = bench.get("/metrics?namespace=shpo").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(body.contains("\"shpo\"") && body.contains("metrifold, shop"), "{body}");
    assert_eq!(bench.get("/metrics?namespace=shop").await.0, StatusCode::OK);
}

#[tokio::test]
async fn an_unreadable_store_is_503_with_the_reason_and_not_ready() {
    let bench = bench();
    *bench.store.failure.lock() = Some("connection refused".into());
    for path in ["/metrics", "/-/ready"] {
        let (status, body) = bench.get(path).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body.contains("connection refused"), "{body}");
    }
    assert_eq!(bench.get("/-/healthy").await.0, StatusCode::OK);
    *bench.store.failure.lock() = None;
    assert_eq!(bench.get("/metrics").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_sealed_shard_is_503_and_not_ready() {
    let bench = bench();
    bench.store.shard.lock().head.sealed = true;
    assert!(bench.get("/metrics").await.1.contains("sealed"));
    assert_eq!(bench.get("/-/ready").await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_is_503_before_prometheus_gives_up() {
    let bench = bench();
    *bench.store.hangs.lock() = true;
    let begun = tokio::time::Instant::now();
    let request = Request::get("/metrics").header("X-Prometheus-Scrape-Timeout-Seconds", "3");
    let (status, _, body) = bench.request(request).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("within 2s 500ms"), "{body}");
    assert_eq!(begun.elapsed().as_millis(), 2_500);
}

#[tokio::test]
async fn a_store_that_came_back_with_less_is_not_shown_until_it_has_caught_up() {
    let bench = bench();
    assert_eq!(bench.get("/metrics").await.0, StatusCode::OK);
    *bench.store.shard.lock() = shard(Epoch(2), true, 5.0);
    let (status, body) = bench.get("/metrics").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("settling") && body.contains("req_total"), "{body}");
    *bench.store.shard.lock() = shard(Epoch(2), true, 8.0);
    assert!(bench.get("/metrics").await.1.contains("req_total 8"));
}

#[tokio::test]
async fn a_source_of_the_last_view_that_is_silent_since_the_restore_is_waited_for() {
    let bench = bench();
    bench.get("/metrics").await;
    let mut empty = shard(Epoch(2), true, 9.0);
    empty.records.clear();
    *bench.store.shard.lock() = empty;
    let (status, body) = bench.get("/metrics").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("not every source"), "{body}");
}

#[tokio::test]
async fn after_the_settling_time_a_loss_is_shown_as_a_counted_reset() {
    let bench = bench();
    bench.get("/metrics").await;
    let mut late = shard(Epoch(2), true, 5.0);
    late.now = Instant(60_000);
    *bench.store.shard.lock() = late;
    assert!(bench.get("/metrics").await.1.contains("req_total 5"));
    let own = bench.get("/-/metrics").await.1;
    assert!(own.contains("metrifold_view_resets_total{namespace=\"metrifold\"} 1"), "{own}");
}

#[tokio::test]
async fn own_metrics_tell_scrapes_by_result_and_sources_by_state() {
    let bench = bench();
    bench.get("/metrics").await;
    bench.store.shard.lock().head.sealed = true;
    bench.get("/metrics").await;
    let own = bench.get("/-/metrics").await.1;
    for line in [
        "metrifold_scrapes_total{result=\"ok\"} 1",
        "metrifold_scrapes_total{result=\"sealed\"} 1",
        "metrifold_sources{namespace=\"metrifold\",state=\"live\"} 1",
        "metrifold_view_samples{namespace=\"metrifold\"} 1",
    ] {
        assert!(own.contains(line), "{line} is missing in {own}");
    }
}
