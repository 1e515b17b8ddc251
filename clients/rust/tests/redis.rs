//! Pushes straight to a real Redis.

use std::time::{Duration, Instant};

use bytes::Bytes;
use metrifold_client::Pusher;
use metrifold_model::{Epoch, Namespace};
use metrifold_redis::{
    Claim, Dump, Look, PushSettings, Restore, ScriptCall, keys, parse_commit_reply, parse_dump, parse_look,
};
use metrifold_redis::{Client, ClientSettings};
use metrifold_session::ShardSnapshot;
use prometheus::{IntCounter, Registry};
use rustix::process::Signal;

const AMPLE: Duration = Duration::from_secs(20);
/// Longer than any test: only flushes and ends push.
const RARELY: Duration = Duration::from_secs(300);
const OFTEN: Duration = Duration::from_millis(20);
const SHARDS: u16 = 4;
const NAMESPACE: &str = "shop";

struct Redis {
    server: metrifold_tests::Redis,
    runtime: tokio::runtime::Runtime,
}

impl Redis {
    fn start() -> Redis {
        let server = metrifold_tests::Redis::start().expect("redis-server is installed and starts");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Redis { server, runtime }
    }

    /// Kills it and starts another one, empty, on the same port.
    fn restart_empty(&mut self) {
        self.server.kill().expect("alive");
        self.server.start_again().expect("it starts");
    }

    fn signal(&self, signal: Signal) {
        self.server.process().signal(signal).expect("alive");
    }

    fn url(&self) -> String {
        self.server.url()
    }

    fn client(&self) -> Client {
        Client::new(ClientSettings::new(self.url().parse().expect("an address"))).expect("valid")
    }

    fn words(&self, words: &[&str]) -> Vec<Bytes> {
        let words = words.iter().map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
        self.runtime.block_on(self.client().command("", words, AMPLE)).expect("Redis accepts")
    }

    fn eval(&self, call: &ScriptCall) -> Vec<Bytes> {
        self.runtime.block_on(self.client().script(call, AMPLE)).expect("Redis accepts")
    }

    /// What a server role does with a new or lost namespace: an empty shard under a new epoch.
    fn open(&self, epoch: u64) {
        let namespace = namespace();
        for shard in 0..SHARDS {
            let look = parse_look(&self.eval(&Look::call(&namespace, shard))).expect("a look");
            let claim = self.eval(&Claim::call(&namespace, shard, &look, 77, SHARDS));
            parse_commit_reply(&claim).expect("a reply");
            let before = ShardSnapshot { head: look.head.clone(), now: look.now, ..ShardSnapshot::default() };
            let mut after = before.clone();
            after.head.epoch = Some(Epoch(epoch));
            after.head.version = epoch;
            let restore = Restore { before: &before, after: &after, token: 77 };
            let restore = restore.call(&namespace, shard, PushSettings::new(SHARDS));
            parse_commit_reply(&self.eval(&restore)).expect("a reply");
            let look = parse_look(&self.eval(&Look::call(&namespace, shard))).expect("a look");
            assert!(!look.head.sealed, "the shard is open");
        }
        self.words(&["HSET", &keys::meta(&namespace), keys::META_SHARDS, &SHARDS.to_string()]);
    }

    /// What live sources have counted, how many there are, and how many of them said that they ended.
    fn total(&self) -> (f64, usize, usize) {
        let namespace = namespace();
        let (mut total, mut sources, mut ended) = (0.0, 0, 0);
        for shard in 0..SHARDS {
            let look = parse_look(&self.eval(&Look::call(&namespace, shard))).expect("a look");
            let dump = self.eval(&Dump::call(&namespace, shard, &look.incarnations));
            let records = parse_dump(&dump, &look.incarnations).expect("a dump").records;
            for (_, record) in records.values() {
                total += record.values.slot(0) - record.base.slot(0);
                sources += 1;
                ended += usize::from(record.ended);
            }
        }
        (total, sources, ended)
    }
}

fn namespace() -> Namespace {
    Namespace::new(NAMESPACE).expect("valid")
}

struct Application {
    counter: IntCounter,
    pusher: Pusher,
}

fn application(target: &str, interval: Duration) -> Application {
    let registry = Registry::new();
    let counter = IntCounter::new("events_total", "Events").expect("valid");
    registry.register(Box::new(counter.clone())).expect("new");
    let start = Pusher::builder().registry(registry).target(target).namespace(NAMESPACE);
    let start = start.push_interval(interval).exit_timeout(Duration::from_millis(500));
    Application { counter, pusher: start.start().expect("valid settings") }
}

#[test]
fn what_was_counted_before_a_flush_is_in_redis_after_it() {
    let redis = Redis::start();
    redis.open(1);
    let app = application(&redis.url(), RARELY);
    for total in 1..=20_u32 {
        app.counter.inc();
        app.pusher.flush(AMPLE).expect("answered");
        assert_eq!(redis.total(), (f64::from(total), 1, 0));
    }
    app.counter.inc();
    app.pusher.shutdown(AMPLE).expect("answered");
    assert_eq!(redis.total(), (21.0, 1, 1));
}

#[test]
fn sources_spread_over_the_shards_and_add_up() {
    let redis = Redis::start();
    redis.open(1);
    let url = redis.url();
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                let app = application(&url, OFTEN);
                (0..1000).for_each(|_| app.counter.inc());
                app.pusher.shutdown(AMPLE).expect("answered");
            });
        }
    });
    assert_eq!(redis.total(), (12_000.0, 12, 12));
}

#[test]
fn a_namespace_that_no_server_opened_is_announced_and_nothing_is_written_before() {
    let redis = Redis::start();
    let app = application(&redis.url(), OFTEN);
    app.counter.inc_by(5);
    let error = app.pusher.flush(Duration::from_millis(400)).expect_err("no epoch stands").to_string();
    assert!(error.contains("sealed"), "{error}");
    assert_eq!(redis.words(&["SMEMBERS", keys::NAMESPACES]), [Bytes::from_static(NAMESPACE.as_bytes())]);
    assert_eq!(redis.words(&["KEYS", "shop:*"]), Vec::<Bytes>::new());
    redis.open(1);
    app.pusher.flush(AMPLE).expect("open now");
    assert_eq!(redis.total(), (5.0, 1, 0));
}

#[test]
fn a_redis_that_comes_back_empty_takes_nothing_before_it_was_opened_and_then_everything() {
    let mut redis = Redis::start();
    redis.open(1);
    let app = application(&redis.url(), OFTEN);
    app.counter.inc_by(5);
    app.pusher.flush(AMPLE).expect("answered");
    redis.restart_empty();
    app.counter.inc();
    app.pusher.flush(Duration::from_millis(500)).expect_err("no epoch stands");
    assert_eq!(redis.words(&["KEYS", "shop:*"]), Vec::<Bytes>::new());
    redis.open(2);
    app.pusher.flush(AMPLE).expect("open again");
    assert_eq!(redis.total(), (6.0, 1, 0));
}

#[test]
fn a_redis_that_hangs_delays_nothing_and_loses_nothing() {
    let redis = Redis::start();
    redis.open(1);
    let app = application(&redis.url(), OFTEN);
    app.pusher.flush(AMPLE).expect("answered");
    redis.signal(Signal::STOP);
    let began = Instant::now();
    (0..1000).for_each(|_| app.counter.inc());
    app.pusher.status();
    assert!(began.elapsed() < Duration::from_millis(200), "{:?}", began.elapsed());
    // Longer than one attempt, so that at least one of them is given up.
    app.pusher.flush(Duration::from_secs(3)).expect_err("stopped");
    redis.signal(Signal::CONT);
    app.pusher.flush(AMPLE).expect("it goes on");
    assert_eq!(redis.total(), (1000.0, 1, 0));
}

#[test]
fn the_end_does_not_wait_for_a_redis_that_hangs() {
    let redis = Redis::start();
    redis.open(1);
    let app = application(&redis.url(), OFTEN);
    app.pusher.flush(AMPLE).expect("answered");
    redis.signal(Signal::STOP);
    let began = Instant::now();
    drop(app.pusher);
    assert!(began.elapsed() < Duration::from_millis(1000), "{:?}", began.elapsed());
}

#[test]
fn a_redis_that_forgot_the_script_is_asked_again_with_its_text() {
    let redis = Redis::start();
    redis.open(1);
    let app = application(&redis.url(), RARELY);
    for total in 1..=3_u32 {
        app.counter.inc();
        redis.words(&["SCRIPT", "FLUSH"]);
        app.pusher.flush(AMPLE).expect("answered");
        assert_eq!(redis.total(), (f64::from(total), 1, 0));
    }
    assert_eq!(app.pusher.status().last_error, None);
}

#[test]
fn a_wrong_password_is_told_without_showing_it() {
    let redis = Redis::start();
    redis.words(&["CONFIG", "SET", "requirepass", "right"]);
    let app = application(&format!("redis://:hunter2@127.0.0.1:{}", redis.server.port()), OFTEN);
    let error = app.pusher.flush(Duration::from_millis(600)).expect_err("no access").to_string();
    assert!(error.to_lowercase().contains("password"), "{error}");
    assert!(!format!("{error} {:?}", app.pusher.status()).contains("hunter2"));
}
