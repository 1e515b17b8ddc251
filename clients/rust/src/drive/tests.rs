//! The driver against an in-memory store that decides by the production rules and fails as told.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use metrifold_model::Epoch;
use metrifold_push::Unanswered;
use metrifold_session::{Record, Refusal, ShardHead, Verdict, accept};
use prometheus::{IntCounter, Registry};

use super::*;
use crate::{FlushError, Pusher as Handle, builder::start_remote, snapshot::Snapshot, thread::Descriptors};

const AMPLE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug)]
enum Fault {
    LoseRequest,
    LoseAnswer,
    Hang,
    Say(Answer),
}

#[derive(Default)]
struct State {
    head: ShardHead,
    records: HashMap<Incarnation, Record>,
    /// One per attempt; `None` is an attempt that goes well.
    faults: VecDeque<Option<Fault>>,
    always: Option<Fault>,
}

impl State {
    /// What the records add up to, as a merge would.
    fn total(&self) -> f64 {
        self.records.values().map(|record| record.values.slot(0) - record.base.slot(0)).sum()
    }
}

#[derive(Clone)]
struct Store(Arc<Mutex<State>>);

impl Store {
    fn open() -> Self {
        let state = State { head: ShardHead::open(Epoch(9)), ..State::default() };
        Store(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics with the lock")
    }

    fn accept(&self, push: &Push) -> Answer {
        let mut state = self.state();
        match accept(&state.head, state.records.get(&push.incarnation), None, push, clock::now()) {
            Verdict::Reply(answer) => answer,
            Verdict::Write { record, answer } => {
                state.records.insert(push.incarnation, *record);
                answer
            }
        }
    }
}

#[async_trait]
impl Transport for Store {
    fn name(&self) -> &str {
        "in memory"
    }

    async fn push(&self, _namespace: &Namespace, push: &Push) -> Result<Answer, Unanswered> {
        let fault = {
            let mut state = self.state();
            let always = state.always;
            state.faults.pop_front().unwrap_or(always)
        };
        match fault {
            None => Ok(self.accept(push)),
            Some(Fault::LoseRequest) => Err(Unanswered("lost on the way".into())),
            Some(Fault::LoseAnswer) => {
                self.accept(push);
                Err(Unanswered("the answer was lost".into()))
            }
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Say(answer)) => Ok(answer),
        }
    }
}

struct Rig {
    counter: IntCounter,
    store: Store,
    pusher: Handle,
}

fn settings(interval: Duration) -> Settings {
    let variables = [("METRIFOLD_TARGET", "http://fake:1"), ("METRIFOLD_EXIT_TIMEOUT", "500ms")];
    let lookup =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into());
    Settings { push_interval: interval, ..Settings::from_variables(lookup).expect("valid") }
}

fn rig(interval: Duration, store: Store) -> Rig {
    let registry = Registry::new();
    let counter = IntCounter::new("events_total", "Events").expect("valid");
    registry.register(Box::new(counter.clone())).expect("new");
    let settings = settings(interval);
    let pusher = Handle::of(&settings);
    let origin = Origin::Registry { registry, snapshot: Box::new(Snapshot::default()) };
    start_remote(origin, store.clone(), settings, Descriptors::Shared, &pusher.shared);
    Rig { counter, store, pusher }
}

/// Longer than any test: only flushes and ends push.
const RARELY: Duration = Duration::from_secs(300);
const OFTEN: Duration = Duration::from_millis(10);

#[test]
fn what_was_counted_before_a_flush_is_acknowledged_after_it() {
    let rig = rig(RARELY, Store::open());
    for total in 1..=20_u32 {
        rig.counter.inc();
        rig.pusher.flush(AMPLE).expect("the store answers");
        assert_eq!(rig.store.state().total(), f64::from(total));
    }
    assert_eq!(rig.pusher.status().last_error, None);
}

#[test]
fn the_interval_alone_brings_values() {
    let rig = rig(OFTEN, Store::open());
    rig.counter.inc_by(5);
    let deadline = Instant::now() + AMPLE;
    while rig.store.state().total() != 5.0 {
        assert!(Instant::now() < deadline, "nothing came: {:?}", rig.pusher.status());
        std::thread::yield_now();
    }
}

#[test]
fn lost_and_repeated_messages_count_once() {
    let store = Store::open();
    let faults = [
        Some(Fault::LoseAnswer),
        None,
        Some(Fault::LoseRequest),
        Some(Fault::LoseAnswer),
        None,
        Some(Fault::LoseAnswer),
        None,
    ];
    store.state().faults.extend(faults.iter().cycle().take(21));
    let rig = rig(OFTEN, store);
    for total in 1..=5_u32 {
        rig.counter.inc();
        rig.pusher.flush(AMPLE).expect("in the end the store answers");
        assert_eq!(rig.store.state().total(), f64::from(total));
    }
    assert_eq!(rig.store.state().records.len(), 1);
    assert!(rig.pusher.status().last_error.is_some(), "the losses are told");
}

#[test]
fn a_store_that_forgot_the_source_gets_a_new_one_and_nothing_twice() {
    let rig = rig(RARELY, Store::open());
    rig.counter.inc_by(10);
    rig.pusher.flush(AMPLE).expect("answered");
    // In this epoch: folded, and its tombstone trimmed since. The 10 are in the archive.
    rig.store.state().records.clear();
    rig.counter.inc_by(3);
    rig.pusher.flush(AMPLE).expect("answered");
    assert_eq!(rig.store.state().total(), 3.0);
}

#[test]
fn a_store_that_lost_everything_gets_everything_again() {
    let rig = rig(RARELY, Store::open());
    rig.counter.inc_by(10);
    rig.pusher.flush(AMPLE).expect("answered");
    *rig.store.state() = State { head: ShardHead::open(Epoch(10)), ..State::default() };
    rig.pusher.flush(AMPLE).expect("answered");
    assert_eq!(rig.store.state().total(), 10.0);
}

#[test]
fn a_sealed_store_is_asked_until_it_opens() {
    let store = Store::open();
    store.state().head.sealed = true;
    let rig = rig(OFTEN, store);
    rig.counter.inc();
    let error = rig.pusher.flush(Duration::from_millis(300)).expect_err("sealed").to_string();
    assert!(error.contains("sealed"), "{error}");
    rig.store.state().head.sealed = false;
    rig.pusher.flush(AMPLE).expect("open");
    assert_eq!(rig.store.state().total(), 1.0);
}

#[test]
fn a_refusal_is_told_and_counted() {
    let store = Store::open();
    store.state().always = Some(Fault::Say(Answer::Refused(Refusal::TooManySources)));
    let rig = rig(OFTEN, store);
    let error = rig.pusher.flush(Duration::from_millis(300)).expect_err("refused").to_string();
    assert!(error.contains("sources_per_namespace_max"), "{error}");
    assert!(rig.pusher.status().refused > 0);
    let ended = rig.pusher.shutdown(AMPLE).expect_err("refused");
    assert!(matches!(&ended, FlushError::Ended { .. }), "{ended}");
}

#[test]
fn the_end_pushes_the_last_values_and_says_so() {
    let rig = rig(RARELY, Store::open());
    rig.counter.inc_by(4);
    rig.pusher.shutdown(AMPLE).expect("answered");
    let state = rig.store.state();
    assert_eq!(state.total(), 4.0);
    assert!(state.records.values().all(|record| record.ended));
}

#[test]
fn dropping_is_an_end() {
    let Rig { counter, store, pusher } = rig(RARELY, Store::open());
    counter.inc_by(4);
    drop(pusher);
    assert_eq!(store.state().total(), 4.0);
}

#[test]
fn a_hanging_target_delays_the_end_by_no_more_than_the_exit_timeout_and_a_flush_by_its_own() {
    let store = Store::open();
    store.state().always = Some(Fault::Hang);
    let Rig { counter, pusher, .. } = rig(OFTEN, store);
    let started = Instant::now();
    counter.inc();
    pusher.status();
    assert!(started.elapsed() < Duration::from_millis(100), "counting and status wait for nobody");
    let error = pusher.flush(Duration::from_millis(200)).expect_err("nobody answers");
    assert!(matches!(&error, FlushError::Timeout { .. }), "{error}");
    assert!(started.elapsed() >= Duration::from_millis(200));
    let dropped = Instant::now();
    drop(pusher);
    let took = dropped.elapsed();
    assert!((Duration::from_millis(500)..Duration::from_millis(1000)).contains(&took), "{took:?}");
}

#[test]
fn a_target_that_is_down_is_asked_at_most_ten_times_a_second() {
    let store = Store::open();
    store.state().always = Some(Fault::LoseRequest);
    let rig = rig(OFTEN, store);
    rig.pusher.flush(Duration::from_secs(1)).expect_err("down");
    let sent = rig.pusher.status().sent;
    assert!((2..=10).contains(&sent), "{sent} attempts");
}
