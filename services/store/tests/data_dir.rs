//! What a data directory keeps over a restart: archive, tombstones, bases, and who was live.

use std::{path::Path, sync::Arc, time::Duration};

use metrifold_merge::{MergeOptions, merge};
use metrifold_model::{Descriptor, DescriptorList, Incarnation, Kind, Labels, Namespace, Values, Worker};
use metrifold_session::{Instant, Pusher, PusherSettings, ReapPolicy, ShardSnapshot, Step, reap};
use metrifold_store::{CommitOutcome, EmbeddedSettings, EmbeddedStore, ShardIndex, Store, StoreError};

const SHARD: ShardIndex = ShardIndex(0);

/// A store in a data directory and the sources that push to it; a pusher outlives the store.
struct World {
    store: EmbeddedStore,
    namespace: Namespace,
    clock: u64,
}

fn open(directory: &Path) -> Result<EmbeddedStore, StoreError> {
    EmbeddedStore::open(EmbeddedSettings { data_dir: Some(directory.into()), ..EmbeddedSettings::default() })
}

fn source(id: u64) -> Pusher {
    Pusher::new(Incarnation(id), Worker::default(), PusherSettings::default(), Instant(0))
}

impl World {
    fn open(directory: &Path) -> World {
        World { store: open(directory).expect("opens"), namespace: Namespace::default(), clock: 0 }
    }

    /// Drops the store without ceremony, as a SIGKILL would, and opens it again.
    fn restart(self, directory: &Path) -> World {
        let clock = self.clock;
        drop(self.store);
        World { clock, ..World::open(directory) }
    }

    /// Pushes until the store has this value.
    async fn push(&mut self, pusher: &mut Pusher, value: f64, ended: bool) {
        let descriptors: DescriptorList =
            [Descriptor::new(Kind::Counter, "c", "c_total", Labels::default(), "")].into_iter().collect();
        for _ in 0..10 {
            self.clock += 10_000;
            let push = match pusher.poll(Instant(self.clock), Incarnation(self.clock)) {
                Step::Done => return,
                Step::Resend(push) => *push,
                Step::Wait(_) => continue,
                Step::Gather => {
                    pusher.offer(Instant(self.clock), &descriptors, Values::from_slots(vec![value]), ended)
                }
            };
            let answer = self.store.push(&self.namespace, &push).await.expect("the store answers");
            pusher.answered(Instant(self.clock), push.seq, answer);
            let has_all = pusher.state().values == Some(Values::from_slots(vec![value]));
            if has_all && pusher.is_acknowledged() && !ended {
                return;
            }
        }
        assert!(ended, "the push was never acknowledged");
    }

    async fn snapshot(&self) -> ShardSnapshot {
        ShardSnapshot::clone(&*self.store.snapshot(&self.namespace, SHARD).await.expect("reads"))
    }

    /// Folds what is due if every silence of a millisecond counted as death, or trims if `lifetime` is over.
    async fn reap(&self, lifetime: Duration) {
        let policy =
            ReapPolicy { ttl: Some(Duration::ZERO), tombstone_lifetime: lifetime, ..ReapPolicy::default() };
        let mut snapshot = self.snapshot().await;
        snapshot.now = snapshot.now + Duration::from_millis(10);
        snapshot.head.settling = false;
        let commit = reap(&snapshot, &policy).expect("something is due");
        let outcome = self.store.commit(&self.namespace, SHARD, &commit).await.expect("commits");
        assert_eq!(outcome, CommitOutcome::Committed);
    }

    async fn total(&self) -> f64 {
        let view = merge(&[Arc::new(self.snapshot().await)], &MergeOptions::default());
        view.families.first().map_or(0.0, |family| family.values[0])
    }
}

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test]
async fn the_dead_survive_a_restart_and_the_living_push_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut world = World::open(directory.path());
    let (mut dead, mut living) = (source(1), source(2));
    world.push(&mut dead, 5.0, false).await;
    world.push(&mut dead, 5.0, true).await;
    world.reap(DAY).await;
    world.push(&mut living, 3.0, false).await;
    assert_eq!(world.total().await, 8.0);

    let mut world = world.restart(directory.path());
    assert_eq!(world.total().await, 5.0);
    let policy = ReapPolicy::default();
    let head = world.snapshot().await.head;
    assert!(!head.is_settled(Instant(0), policy.settle), "a live source is missing");
    world.push(&mut living, 4.0, false).await;
    assert_eq!(world.total().await, 9.0);
    assert!(world.snapshot().await.head.is_settled(Instant(0), policy.settle), "nobody is missing");
}

#[tokio::test]
async fn a_revived_source_is_not_counted_twice_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut world = World::open(directory.path());
    let mut paused = source(1);
    world.push(&mut paused, 5.0, false).await;
    world.reap(DAY).await;
    world.push(&mut paused, 7.0, false).await;
    assert_eq!(world.total().await, 7.0);
    let mut world = world.restart(directory.path());
    world.push(&mut paused, 8.0, false).await;
    assert_eq!(world.total().await, 8.0);
}

/// The tombstone may be trimmed while its source lives on: the base must be known from the source's own entry.
#[tokio::test]
async fn a_base_outlives_the_trimming_of_its_tombstone() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut world = World::open(directory.path());
    let mut paused = source(1);
    world.push(&mut paused, 5.0, false).await;
    world.reap(DAY).await;
    world.push(&mut paused, 7.0, false).await;
    let snapshot = world.snapshot().await;
    let commit = metrifold_session::Commit {
        expected_version: snapshot.head.version,
        archive: metrifold_session::Archive::clone(&snapshot.archive),
        folded: vec![],
        trimmed: vec![Incarnation(1)],
    };
    let outcome = world.store.commit(&world.namespace, SHARD, &commit).await.expect("commits");
    assert_eq!(outcome, CommitOutcome::Committed);

    let mut world = world.restart(directory.path());
    world.push(&mut paused, 9.0, false).await;
    assert_eq!(world.total().await, 9.0);
}

#[tokio::test]
async fn a_directory_in_use_is_refused_by_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let _first = open(directory.path()).expect("opens");
    let Err(error) = open(directory.path()) else { panic!("two stores in one directory") };
    let text = error.to_string();
    assert!(
        text.contains(&directory.path().display().to_string()) && text.contains("another process"),
        "{text}"
    );
}
