//! Pushes over gRPC, against a real server that decides by the production rules.

use std::{
    collections::HashMap,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use metrifold_client::Pusher;
use metrifold_model::{Epoch, Incarnation, Namespace};
use metrifold_session::{Record, ShardHead, Verdict, accept};
use metrifold_wire::v1::{
    PushRequest, PushResponse,
    ingest_server::{Ingest, IngestServer},
};
use prometheus::{IntCounter, Registry};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream, UnixListenerStream};
use tonic::{Request, Response, Status, Streaming};

const AMPLE: Duration = Duration::from_secs(20);
/// Longer than any test: only flushes and ends push.
const RARELY: Duration = Duration::from_secs(300);

#[derive(Default)]
struct State {
    records: HashMap<Incarnation, Record>,
    namespaces: Vec<Namespace>,
}

/// A store that outlives the servers in front of it.
#[derive(Clone, Default)]
struct Store(Arc<Mutex<State>>);

impl Store {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics with the lock")
    }

    /// The sum over sources of the sample's values.
    fn total(&self, sample: &str) -> f64 {
        let state = self.state();
        let of = |record: &Record| -> f64 {
            let slots = record.descriptors.iter().zip(&record.values.slots);
            slots.filter(|(slot, _)| slot.sample == sample).map(|(_, value)| value).sum()
        };
        state.records.values().map(of).sum()
    }
}

#[tonic::async_trait]
impl Ingest for Store {
    async fn push(&self, request: Request<PushRequest>) -> Result<Response<PushResponse>, Status> {
        let (namespace, push) = metrifold_wire::parse_request(request.into_inner(), &Namespace::default())
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let mut state = self.state();
        state.namespaces.push(namespace);
        let head = ShardHead::open(Epoch(3));
        let now = metrifold_session::Instant(0);
        let answer = match accept(&head, state.records.get(&push.incarnation), None, &push, now) {
            Verdict::Reply(answer) => answer,
            Verdict::Write { record, answer } => {
                state.records.insert(push.incarnation, *record);
                answer
            }
        };
        Ok(Response::new(metrifold_wire::response(push.seq, answer)))
    }

    type PushStreamStream = ReceiverStream<Result<PushResponse, Status>>;

    async fn push_stream(
        &self,
        _: Request<Streaming<PushRequest>>,
    ) -> Result<Response<Self::PushStreamStream>, Status> {
        Err(Status::unimplemented("the pusher uses the unary call"))
    }
}

/// A server that dies when it is dropped, connections and all.
struct Server {
    _runtime: tokio::runtime::Runtime,
    address: SocketAddr,
}

impl Server {
    fn start(store: &Store, at: &str) -> Server {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(tokio::net::TcpListener::bind(at)).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let service = IngestServer::new(store.clone());
        runtime.spawn(
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        Server { _runtime: runtime, address }
    }
}

struct Application {
    counter: IntCounter,
    pusher: Pusher,
}

fn application(target: &str, interval: Duration) -> Application {
    let registry = Registry::new();
    let counter = IntCounter::new("events_total", "Events").expect("valid");
    registry.register(Box::new(counter.clone())).expect("new");
    let start = Pusher::builder().registry(registry).target(target).namespace("shop").labels([("zone", "a")]);
    let start = start.push_interval(interval).exit_timeout(Duration::from_millis(500));
    Application { counter, pusher: start.start().expect("valid settings") }
}

#[test]
fn what_was_counted_before_a_flush_is_in_the_store_after_it() {
    let store = Store::default();
    let server = Server::start(&store, "127.0.0.1:0");
    let app = application(&format!("http://{}", server.address), RARELY);
    for total in 1..=50_u32 {
        app.counter.inc();
        app.pusher.flush(AMPLE).expect("answered");
        assert_eq!(store.total("events_total"), f64::from(total));
    }
    let state = store.state();
    assert!(state.namespaces.iter().all(|namespace| namespace.as_str() == "shop"));
    let worker = &state.records.values().next().expect("one source").worker;
    assert_eq!(worker.process, std::process::id().to_string());
    assert_eq!(worker.labels.get("zone"), Some("a"));
}

#[test]
fn a_unix_socket_works_alike() {
    let directory = tempfile::tempdir().expect("temporary");
    let path = directory.path().join("ingest.sock");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let store = Store::default();
    let listener = {
        let _context = runtime.enter();
        tokio::net::UnixListener::bind(&path).expect("a new socket")
    };
    runtime.spawn(
        tonic::transport::Server::builder()
            .add_service(IngestServer::new(store.clone()))
            .serve_with_incoming(UnixListenerStream::new(listener)),
    );
    let app = application(&format!("unix:{}", path.display()), RARELY);
    app.counter.inc_by(3);
    app.pusher.shutdown(AMPLE).expect("answered");
    assert_eq!(store.total("events_total"), 3.0);
    assert!(store.state().records.values().all(|record| record.ended));
}

#[test]
fn a_collector_that_comes_back_gets_everything() {
    let store = Store::default();
    let server = Server::start(&store, "127.0.0.1:0");
    let address = server.address.to_string();
    let app = application(&format!("http://{address}"), Duration::from_millis(20));
    app.counter.inc();
    app.pusher.flush(AMPLE).expect("answered");

    drop(server);
    app.counter.inc();
    app.pusher.flush(Duration::from_millis(300)).expect_err("nobody listens");
    assert!(app.pusher.status().last_error.is_some());
    app.counter.inc();

    let _server = Server::start(&store, &address);
    app.pusher.flush(AMPLE).expect("answered again");
    assert_eq!(store.total("events_total"), 3.0);
    assert_eq!(store.state().records.len(), 1);
}

#[test]
fn a_collector_that_is_down_from_the_start_delays_nothing() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound");
    let began = Instant::now();
    let app = application(&format!("http://{free}"), Duration::from_millis(20));
    (0..1000).for_each(|_| app.counter.inc());
    assert!(began.elapsed() < Duration::from_millis(200), "{:?}", began.elapsed());
    let error = app.pusher.flush(Duration::from_millis(300)).expect_err("nobody listens").to_string();
    assert!(error.contains("refused"), "{error}");
    let began = Instant::now();
    drop(app.pusher);
    assert!(began.elapsed() < Duration::from_millis(1000), "{:?}", began.elapsed());
}

#[test]
fn a_collector_that_accepts_and_never_answers_delays_nothing() {
    // The kernel accepts; nobody ever reads.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let app = application(&format!("http://{address}"), Duration::from_millis(20));
    let began = Instant::now();
    (0..1000).for_each(|_| app.counter.inc());
    assert!(began.elapsed() < Duration::from_millis(200), "{:?}", began.elapsed());
    app.pusher.flush(Duration::from_millis(300)).expect_err("nobody answers");
    let began = Instant::now();
    drop(app.pusher);
    assert!(began.elapsed() < Duration::from_millis(1000), "{:?}", began.elapsed());
}

#[test]
fn many_sources_add_up() {
    let store = Store::default();
    let server = Server::start(&store, "127.0.0.1:0");
    let target = format!("http://{}", server.address);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let app = application(&target, Duration::from_millis(10));
                (0..1000).for_each(|_| app.counter.inc());
                app.pusher.shutdown(AMPLE).expect("answered");
            });
        }
    });
    assert_eq!(store.total("events_total"), 8000.0);
    assert_eq!(store.state().records.len(), 8);
}
