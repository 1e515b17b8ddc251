//! What a scraper is promised: a view that is whole and never falls, or a reason in time.

use std::{
    collections::BTreeMap,
    io::Read,
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
    http::{HeaderMap, Request, StatusCode},
};
use http_body_util::BodyExt;
use metrifold_exporter::{Exporter, ExporterSettings, OwnMetrics, build};
use metrifold_model::{Descriptor, Epoch, Incarnation, Kind, Labels, Namespace, Seq, Values, Worker};
use metrifold_session::{Answer, Commit, Instant, Push, Record, ShardHead, ShardSnapshot};
use metrifold_store::{CommitOutcome, ShardIndex, Store, StoreError};
use metrifold_telemetry::Metrics;
use parking_lot::Mutex;
use prometheus::Registry;
use tower::ServiceExt;

/// What a scraper of a server may ask for.
fn routes(exporter: Arc<Exporter>, own: Registry) -> Router {
    build(exporter.clone()).merge(metrifold_status::health(exporter, own))
}

/// A store of one shard that shows what the test puts there.
#[derive(Default)]
struct Scripted {
    shard: Mutex<ShardSnapshot>,
    failure: Mutex<Option<String>>,
    hangs: Mutex<bool>,
    has_lost_shop: Mutex<bool>,
    reads: AtomicUsize,
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
        self.reads.fetch_add(1, Ordering::SeqCst);
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
        let shop = Some(Namespace::new("shop").expect("a good name")).filter(|_| !*self.has_lost_shop.lock());
        Ok([Namespace::default()].into_iter().chain(shop).collect())
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
    bench_with(|_| ExporterSettings::default())
}

fn bench_with(settings: impl FnOnce(&Registry) -> ExporterSettings) -> Bench {
    let store = Arc::new(Scripted::default());
    *store.shard.lock() = shard(Epoch(1), false, 7.0);
    let own = Registry::new();
    let metrics = Metrics::register(&own).expect("a new registry");
    let exporter = Exporter::new(store.clone(), settings(&own), metrics);
    Bench { store, router: routes(exporter, own) }
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

/// As [`shard`], of a source with a page of many steps of the compressor.
fn wide_shard() -> ShardSnapshot {
    let names: Vec<_> = (0..20_000).map(|number| format!("family_{number}")).collect();
    let counter = |name: &String| {
        Descriptor::new(
            Kind::Counter,
            name,
            format!("{name}_total"),
            Labels::new([("path", name.as_str())]),
            "",
        )
    };
    let mut wide = shard(Epoch(1), false, 0.0);
    let record = Record {
        descriptors: names.iter().map(counter).collect(),
        values: Values::from_slots(vec![1.0; names.len()]),
        ..(**wide.records.values().next().expect("one")).clone()
    };
    wide.records.insert(Incarnation(1), Arc::new(record));
    wide
}

impl Bench {
    async fn request(&self, request: axum::http::request::Builder) -> (StatusCode, HeaderMap, String) {
        let (status, headers, body) = self.bytes(request).await;
        (status, headers, String::from_utf8(body).expect("text"))
    }

    async fn bytes(&self, request: axum::http::request::Builder) -> (StatusCode, HeaderMap, Vec<u8>) {
        let request = request.body(Body::empty()).expect("a good request");
        let response = self.router.clone().oneshot(request).await.expect("the router answers");
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        (head.status, head.headers, body.to_vec())
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
async fn a_scraper_gets_the_format_that_it_likes_best_with_its_exact_content_type() {
    let bench = bench();
    for (accept, content_type, part) in [
        (
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            "# TYPE req counter\n# HELP req Requests.\nreq_total 7.0\n# EOF\n",
        ),
        (
            "text/plain;version=1.0.0;escaping=allow-utf-8",
            "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            "req_total 7.0\n",
        ),
        (
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
            "req_total",
        ),
        ("image/png", "text/plain; version=0.0.4; charset=utf-8", "req_total 7.0\n"),
    ] {
        let (status, headers, body) = bench.bytes(Request::get("/metrics").header("Accept", accept)).await;
        assert_eq!((status, headers["content-type"].as_bytes()), (StatusCode::OK, content_type.as_bytes()));
        assert!(String::from_utf8_lossy(&body).contains(part), "{body:?}");
        assert_eq!(headers["vary"], "Accept, Accept-Encoding");
    }
}

#[tokio::test]
async fn a_page_is_compressed_only_for_who_asks() {
    let bench = bench();
    let (_, headers, plain) = bench.bytes(Request::get("/metrics").header("Accept-Encoding", "*")).await;
    assert!(!headers.contains_key("content-encoding"));
    for (accepted, coding) in [("gzip", "gzip"), ("gzip;q=0.5, zstd", "zstd")] {
        let request = Request::get("/metrics").header("Accept-Encoding", accepted);
        let (_, headers, body) = bench.bytes(request).await;
        assert_eq!(headers["content-encoding"], coding);
        let mut read = Vec::new();
        match coding {
            "gzip" => flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut read).expect("gzip"),
            _ => zstd::Decoder::new(&body[..]).expect("zstd").read_to_end(&mut read).expect("zstd"),
        };
        assert_eq!(read, plain);
    }
}

/// A page of many steps of the compressor, read by many at once: all get the same, from few reads of the store.
#[tokio::test]
async fn scrapes_that_come_together_share_reads_and_pages() {
    let bench = bench();
    *bench.store.shard.lock() = wide_shard();
    let plain = bench.get("/metrics").await.1;
    assert!(plain.len() > 1_000_000);
    let before = bench.store.reads.load(Ordering::SeqCst);
    let scrape = async || {
        let body = bench.bytes(Request::get("/metrics").header("Accept-Encoding", "gzip")).await.2;
        let mut read = String::new();
        flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut read).expect("gzip");
        read
    };
    for read in futures::future::join_all((0..32).map(|_| scrape())).await {
        assert_eq!(read, plain);
    }
    assert!(bench.store.reads.load(Ordering::SeqCst) - before <= 2);
}

/// A body that is put together before it is sent would be one piece.
#[tokio::test]
async fn a_compressed_page_is_sent_in_the_pieces_that_its_compression_hands_over() {
    let bench = bench();
    *bench.store.shard.lock() = wide_shard();
    for coding in ["gzip", "zstd"] {
        let request = Request::get("/metrics").header("Accept-Encoding", coding).body(Body::empty());
        let response = bench.router.clone().oneshot(request.expect("a good request")).await;
        let mut body = response.expect("the router answers").into_body();
        let (mut pieces, mut bytes) = (0, 0);
        while let Some(frame) = body.frame().await {
            bytes += frame.expect("whole").data_ref().expect("no trailers").len();
            pieces += 1;
        }
        assert!(pieces > 2, "{coding}: {bytes} bytes in {pieces} pieces");
    }
}

#[tokio::test]
async fn a_view_is_grouped_by_labels_that_folding_keeps_and_by_no_others() {
    let names = |names: &[&str]| names.iter().copied().collect();
    let bench = bench_with(|_| ExporterSettings {
        archive_labels: names(&["host", "zone"]),
        group_by: names(&["zone"]),
        ..ExporterSettings::default()
    });
    let mut grouped = shard(Epoch(1), false, 7.0);
    let worker = Worker {
        instance: "web-1".into(),
        labels: Labels::new([("zone", "east"), ("team", "a")]),
        ..Worker::default()
    };
    let record =
        Record { worker: Arc::new(worker), ..(**grouped.records.values().next().expect("one")).clone() };
    grouped.records.insert(Incarnation(1), Arc::new(record));
    *bench.store.shard.lock() = grouped;
    for (query, line) in [
        ("", "req_total{zone=\"east\"} 7"),
        ("?group_by=", "req_total 7"),
        ("?group_by=host", "req_total{host=\"web-1\"} 7"),
        ("?group_by=zone,host", "req_total{host=\"web-1\",zone=\"east\"} 7"),
    ] {
        let (status, body) = bench.get(&format!("/metrics{query}")).await;
        assert!(status == StatusCode::OK && body.contains(line), "{query}: {body}");
    }
    let (status, body) = bench.get("/metrics?group_by=host,team").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(body.contains("\"team\"") && body.contains("which are host, zone"), "{body}");
}

#[tokio::test]
async fn a_filter_by_name_shows_what_was_named() {
    let bench = bench();
    for (query, is_shown) in [
        ("name[]=req_total", true),
        ("name%5B%5D=other&name[]=req", true),
        ("name[]=re", false),
        ("name[]=", false),
    ] {
        let (status, body) = bench.get(&format!("/metrics?{query}")).await;
        assert_eq!((status, body.contains("req_total 7")), (StatusCode::OK, is_shown), "{query}: {body}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_view_is_shown_as_long_as_it_may_be_if_there_is_no_new_one() {
    let limit = Some(Duration::from_secs(60));
    let bench = bench_with(|_| ExporterSettings { serve_stale: limit, ..ExporterSettings::default() });
    *bench.store.failure.lock() = Some("connection refused".into());
    assert_eq!(bench.get("/metrics").await.0, StatusCode::SERVICE_UNAVAILABLE, "there was no view yet");
    *bench.store.failure.lock() = None;
    assert_eq!(bench.get("/metrics").await.0, StatusCode::OK);
    *bench.store.failure.lock() = Some("connection refused".into());
    tokio::time::advance(Duration::from_secs(50)).await;
    let (status, headers, body) = bench.request(Request::get("/metrics")).await;
    assert_eq!((status, headers["age"].as_bytes()), (StatusCode::OK, &b"50"[..]));
    assert!(body.contains("req_total 7"), "{body}");
    assert_eq!(bench.get("/-/ready").await.0, StatusCode::SERVICE_UNAVAILABLE, "that is not ready");
    assert!(bench.get("/-/metrics").await.1.contains("metrifold_scrapes_total{result=\"stale\"} 1"));
    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!(bench.get("/metrics").await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn asking_whether_a_server_is_ready_shows_nothing_and_replaces_no_view() {
    let limit = Some(Duration::from_secs(60));
    let bench = bench_with(|_| ExporterSettings { serve_stale: limit, ..ExporterSettings::default() });
    assert_eq!(bench.get("/-/ready").await.0, StatusCode::OK);
    *bench.store.failure.lock() = Some("connection refused".into());
    assert_eq!(bench.get("/-/ready").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(bench.get("/metrics").await.0, StatusCode::SERVICE_UNAVAILABLE, "nothing was shown yet");
    let own = bench.get("/-/metrics").await.1;
    assert!(!own.contains("metrifold_scrapes_total{result=\"ok\"}"), "a question is no scrape: {own}");
}

#[tokio::test]
async fn the_last_view_of_a_namespace_that_was_removed_is_not_shown() {
    let limit = Some(Duration::from_secs(60));
    let bench = bench_with(|_| ExporterSettings { serve_stale: limit, ..ExporterSettings::default() });
    assert_eq!(bench.get("/metrics?namespace=shop").await.0, StatusCode::OK);
    *bench.store.has_lost_shop.lock() = true;
    assert_eq!(bench.get("/metrics?namespace=shop").await.0, StatusCode::NOT_FOUND);
}

/// What outlived the server, such as files, is in the store before anything is shown; the server itself answers at once.
#[tokio::test(start_paused = true)]
async fn a_server_that_has_just_started_is_healthy_and_shows_nothing_until_it_has_caught_up() {
    let (sender, has_caught_up) = tokio::sync::watch::channel(false);
    let store = Arc::new(Scripted::default());
    *store.shard.lock() = shard(Epoch(1), false, 7.0);
    let own = Registry::new();
    let metrics = Metrics::register(&own).expect("a new registry");
    let exporter = Exporter::after(has_caught_up, store.clone(), ExporterSettings::default(), metrics);
    let bench = Bench { store, router: routes(exporter, own) };
    assert_eq!(bench.get("/-/healthy").await.0, StatusCode::OK);
    for page in ["/-/ready", "/metrics"] {
        let (status, body) = bench.get(page).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{page}");
        assert!(body.contains("just started"), "{page}: {body}");
    }
    assert_eq!(bench.store.reads.load(Ordering::SeqCst), 0);
    let waiting = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        sender.send_replace(true);
    };
    let ((status, body), ()) = tokio::join!(bench.get("/metrics"), waiting);
    assert!(status == StatusCode::OK && body.contains("req_total 7"), "{body}");
    assert_eq!(bench.get("/-/ready").await.0, StatusCode::OK);
}

#[tokio::test]
async fn own_metrics_stand_among_the_workers_if_they_are_wanted() {
    assert!(!bench().get("/metrics").await.1.contains("metrifold_scrapes"));
    let own = |own: &Registry| ExporterSettings {
        own_metrics: Some(OwnMetrics { registry: own.clone(), prefixes: vec!["metrifold_"] }),
        ..ExporterSettings::default()
    };
    let bench = bench_with(own);
    bench.get("/metrics").await;
    let page = bench.get("/metrics").await.1;
    for part in [
        "req_total 7.0",
        "# TYPE metrifold_scrapes_total counter\nmetrifold_scrapes_total{result=\"ok\"} 1.0\n",
        "metrifold_scrape_duration_seconds_bucket{le=\"+Inf\"} 1.0\n",
    ] {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
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
