//! Pushers and reapers at once.

use std::sync::atomic::{AtomicBool, Ordering};

use metrifold_model::Incarnation;
use metrifold_session::Answer;

use super::{
    fold::{commit, reap_exactly},
    source::{TestSource, open, snapshot, total, values},
};
use crate::Store;

const SOURCES: u64 = 6;
const PUSHES: u32 = 40;

/// While sources count and reapers take the living for dead, what a reader sees never goes down, and in the end it
/// is exact.
pub async fn a_snapshot_never_falls_between_two_commits(store: &dyn Store) {
    open(store).await;
    two_stores_over_the_same_contents(store, store).await;
}

/// The same with half of everybody on each of two stores over the same contents, which must be open.
pub async fn two_stores_over_the_same_contents(one: &dyn Store, two: &dyn Store) {
    let is_done = AtomicBool::new(false);
    let pushers = async {
        futures_join(SOURCES, |incarnation| count(if incarnation % 2 == 0 { one } else { two }, incarnation))
            .await;
        is_done.store(true, Ordering::SeqCst);
    };
    tokio::join!(
        pushers,
        reap_the_living(one, &is_done),
        reap_the_living(two, &is_done),
        watch(two, &is_done)
    );
    assert_eq!(total(&*snapshot(one).await), f64::from(PUSHES) * SOURCES as f64);
}

/// Runs `make(1..=count)` at once.
async fn futures_join<F: Future<Output = ()>>(count: u64, make: impl Fn(u64) -> F) {
    let mut all: Vec<_> = (1..=count).map(|incarnation| Box::pin(make(incarnation))).collect();
    std::future::poll_fn(|context| {
        all.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

async fn count(store: &dyn Store, incarnation: u64) {
    let mut source = TestSource::greet(incarnation, store, 0.0).await;
    for value in 1..=PUSHES {
        let answer = source.send(store, values(&[f64::from(value)])).await;
        assert!(matches!(answer, Answer::Ok { .. }), "{answer:?}");
        tokio::task::yield_now().await;
    }
}

async fn reap_the_living(store: &dyn Store, is_done: &AtomicBool) {
    let mut turn = 0;
    while !is_done.load(Ordering::SeqCst) {
        turn = turn % SOURCES + 1;
        if let Some(due) = reap_exactly(&*snapshot(store).await, &[Incarnation(turn)]) {
            commit(store, &due).await;
        }
        tokio::task::yield_now().await;
    }
}

async fn watch(store: &dyn Store, is_done: &AtomicBool) {
    let mut highest = 0.0;
    while !is_done.load(Ordering::SeqCst) {
        let now = total(&*snapshot(store).await);
        assert!(now >= highest, "a reader saw {now} after {highest}");
        highest = now;
        tokio::task::yield_now().await;
    }
}
