//! Folds, trims, the age clock, and restores of shards that need none.

use std::{sync::Arc, time::Duration};

use metrifold_model::{Incarnation, Seq};
use metrifold_session::{Answer, Commit, Instant, Payload, ReapPolicy, Record, ShardSnapshot, reap};

use super::source::{SHARD, TestSource, namespace, open, snapshot, total, values};
use crate::{CommitOutcome, Store};

/// On the age clock.
pub(super) const LIFETIME: Duration = Duration::from_millis(10);

/// What a reaper would do if exactly `dead` were dead, and what is due for trimming.
pub(super) fn reap_exactly(snapshot: &ShardSnapshot, dead: &[Incarnation]) -> Option<Commit> {
    let now = Instant(u64::MAX);
    let mut seen = ShardSnapshot { now, ..snapshot.clone() };
    for (incarnation, record) in &mut seen.records {
        let seen = if dead.contains(incarnation) { Instant(0) } else { now };
        *record = Arc::new(Record {
            seen,
            ended: record.ended && dead.contains(incarnation),
            ..Record::clone(record)
        });
    }
    let policy = ReapPolicy {
        ttl: Some(Duration::from_secs(1)),
        tombstone_lifetime: LIFETIME,
        settle: Duration::ZERO,
        batch_max: 100,
        ..ReapPolicy::default()
    };
    reap(&seen, &policy)
}

pub(super) async fn commit(store: &dyn Store, commit: &Commit) -> CommitOutcome {
    store.commit(&namespace(), SHARD, commit).await.expect("the store is reachable")
}

async fn fold(store: &dyn Store, incarnation: u64) {
    let due = reap_exactly(&*snapshot(store).await, &[Incarnation(incarnation)])
        .expect("there is something to fold");
    assert_eq!(commit(store, &due).await, CommitOutcome::Committed);
}

/// A source taken for dead goes on from what was folded.
pub async fn a_folded_source_comes_back_without_being_counted_twice(store: &dyn Store) {
    open(store).await;
    let mut source = TestSource::greet(1, store, 5.0).await;
    fold(store, 1).await;
    let folded = snapshot(store).await;
    assert!(folded.records.is_empty());
    assert_eq!((folded.tombstones.len(), total(&folded), folded.head.counter), (1, 5.0, 1));
    assert!(matches!(source.again(store).await, Answer::Ok { .. }), "the folded push is known");
    source.push.seq = Seq(1);
    assert_eq!(source.again(store).await, Answer::Behind { known: Seq(2) });
    source.push.seq = Seq(2);
    source.send_ok(store, Payload::Unchanged).await;
    assert_eq!(total(&*snapshot(store).await), 5.0, "its base is what was folded");
    source.send_ok(store, values(&[8.0])).await;
    let back = snapshot(store).await;
    assert_eq!((total(&back), back.tombstones.len(), back.records.len()), (8.0, 1, 1));
    fold(store, 1).await;
    assert_eq!(total(&*snapshot(store).await), 8.0);
    source.send_ok(store, values(&[9.0])).await;
    assert_eq!(total(&*snapshot(store).await), 9.0);
}

/// After its last push was folded, a source's repetitions are acknowledged and change nothing.
pub async fn an_ended_source_is_acknowledged_for_ever(store: &dyn Store) {
    open(store).await;
    let mut source = TestSource::greet(1, store, 5.0).await;
    source.push.ended = true;
    source.send_ok(store, values(&[6.0])).await;
    assert!(snapshot(store).await.records[&Incarnation(1)].ended);
    fold(store, 1).await;
    assert!(snapshot(store).await.tombstones[&Incarnation(1)].ended);
    source.send_ok(store, values(&[7.0])).await;
    let after = snapshot(store).await;
    assert_eq!((total(&after), after.records.len()), (6.0, 0));
}

/// Two reapers that read the same do not both fold; a push after the read saves its source.
pub async fn a_commit_is_refused_if_anything_changed(store: &dyn Store) {
    open(store).await;
    let mut one = TestSource::greet(1, store, 1.0).await;
    TestSource::greet(2, store, 2.0).await;
    let read = snapshot(store).await;
    let (first, second) = (reap_exactly(&read, &[Incarnation(1)]), reap_exactly(&read, &[Incarnation(2)]));
    let (first, second) = (first.expect("one is dead"), second.expect("two is dead"));
    one.send_ok(store, values(&[3.0])).await;
    assert_eq!(commit(store, &first).await, CommitOutcome::Conflict, "its source has pushed since");
    assert_eq!(snapshot(store).await.records.len(), 2);
    assert_eq!(commit(store, &second).await, CommitOutcome::Committed);
    assert_eq!(commit(store, &second).await, CommitOutcome::Conflict, "the archive has changed");
    let after = snapshot(store).await;
    assert_ne!(after.head.version, read.head.version);
    assert_eq!((total(&after), after.head.counter), (5.0, read.head.counter + 1));
}

/// A trimmed tombstone is forgotten, and its source with it.
pub async fn tombstones_go_when_trimmed(store: &dyn Store) {
    open(store).await;
    let mut source = TestSource::greet(1, store, 5.0).await;
    fold(store, 1).await;
    assert!(reap_exactly(&*snapshot(store).await, &[]).is_none(), "nothing is old enough");
    let age = snapshot(store).await.head.age;
    let later = age + LIFETIME + Duration::from_millis(1);
    store.advance_age(&namespace(), SHARD, age, later).await.expect("the store is reachable");
    let due = reap_exactly(&*snapshot(store).await, &[]).expect("the tombstone is old");
    assert_eq!(commit(store, &due).await, CommitOutcome::Committed);
    let after = snapshot(store).await;
    assert_eq!((after.tombstones.len(), total(&after)), (0, 5.0));
    assert_eq!(source.send(store, values(&[6.0])).await, Answer::Expired);
}

/// Two servers that watch at once advance the clock once.
pub async fn the_age_clock_is_set_only_from_where_it_stands(store: &dyn Store) {
    open(store).await;
    TestSource::greet(1, store, 1.0).await;
    let age = snapshot(store).await.head.age;
    let set =
        async |expected, to| store.advance_age(&namespace(), SHARD, expected, to).await.expect("reachable");
    assert_eq!(set(age, age + Duration::from_secs(5)).await, CommitOutcome::Committed);
    assert_eq!(set(age, age + Duration::from_secs(9)).await, CommitOutcome::Conflict);
    assert_eq!(snapshot(store).await.head.age, age + Duration::from_secs(5));
}

/// Nobody replaces the contents of a shard that is open and settled.
pub async fn a_settled_shard_is_not_restored(store: &dyn Store) {
    open(store).await;
    TestSource::greet(1, store, 1.0).await;
    let before = snapshot(store).await;
    let mut newer = ShardSnapshot::clone(&before);
    newer.head.counter += 10;
    newer.records.clear();
    let outcome = store.restore(&namespace(), SHARD, Some(&newer), Duration::ZERO).await.expect("reachable");
    assert_eq!(outcome, CommitOutcome::Conflict);
    let after = snapshot(store).await;
    assert_eq!((after.head.epoch, after.records.len()), (before.head.epoch, 1));
}
