//! What a data directory keeps when its server is killed: archive, tombstones, bases, who was live, and the last values of
//! who has ended.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    sync::Arc,
    time::Duration,
};

use metrifold_merge::{MergeOptions, merge};
use metrifold_model::{Descriptor, DescriptorList, Incarnation, Kind, Labels, Namespace, Values, Worker};
use metrifold_session::{Instant, Part, Pusher, PusherSettings, ReapPolicy, ShardSnapshot, Step, reap};
use metrifold_store::{CommitOutcome, EmbeddedSettings, EmbeddedStore, ShardIndex, Store, StoreError};
use tempfile::TempDir;

const SHARD: ShardIndex = ShardIndex(0);

/// A store in a data directory and the sources that push to it; a pusher outlives the store.
struct World {
    store: EmbeddedStore,
    namespace: Namespace,
    clock: u64,
    directory: TempDir,
}

fn open(directory: &Path) -> Result<EmbeddedStore, StoreError> {
    EmbeddedStore::open(EmbeddedSettings { data_dir: Some(directory.into()), ..EmbeddedSettings::default() })
}

fn source(id: u64) -> Pusher {
    Pusher::new(Incarnation(id), Worker::default(), PusherSettings::default(), Instant(0))
}

fn one_counter() -> DescriptorList {
    [Descriptor::new(Kind::Counter, "c", "c_total", Labels::default(), "")].into_iter().collect()
}

fn copy(directory: &Path) -> TempDir {
    let left = tempfile::tempdir().expect("a directory");
    for file in std::fs::read_dir(directory).expect("readable") {
        let file = file.expect("readable");
        std::fs::copy(file.path(), left.path().join(file.file_name())).expect("copied");
    }
    left
}

impl World {
    fn new() -> World {
        World::open(tempfile::tempdir().expect("a directory"), 0)
    }

    fn open(directory: TempDir, clock: u64) -> World {
        let store = open(directory.path()).expect("opens");
        World { store, namespace: Namespace::default(), clock, directory }
    }

    /// Goes on with what a SIGKILL would leave at this moment: what the kernel has of the file, while the store that writes
    /// it has not ended.
    fn kill(self) -> World {
        World::open(copy(self.directory.path()), self.clock)
    }

    /// Pushes until the store has this value.
    async fn push(&mut self, pusher: &mut Pusher, value: f64, ended: bool) {
        let descriptors = one_counter();
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
    let mut world = World::new();
    let (mut dead, mut living) = (source(1), source(2));
    world.push(&mut dead, 5.0, false).await;
    world.push(&mut dead, 5.0, true).await;
    world.reap(DAY).await;
    world.push(&mut living, 3.0, false).await;
    assert_eq!(world.total().await, 8.0);

    let mut world = world.kill();
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
    let mut world = World::new();
    let mut paused = source(1);
    world.push(&mut paused, 5.0, false).await;
    world.reap(DAY).await;
    world.push(&mut paused, 7.0, false).await;
    assert_eq!(world.total().await, 7.0);
    let mut world = world.kill();
    world.push(&mut paused, 8.0, false).await;
    assert_eq!(world.total().await, 8.0);
}

/// The tombstone may be trimmed while its source lives on: the base must be known from the source's own entry.
#[tokio::test]
async fn a_base_outlives_the_trimming_of_its_tombstone() {
    let mut world = World::new();
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
        discarded: vec![],
    };
    let outcome = world.store.commit(&world.namespace, SHARD, &commit).await.expect("commits");
    assert_eq!(outcome, CommitOutcome::Committed);

    let mut world = world.kill();
    world.push(&mut paused, 9.0, false).await;
    assert_eq!(world.total().await, 9.0);
}

/// Nobody sends the values of a source that has ended again.
#[tokio::test]
async fn a_last_push_that_was_acknowledged_survives_a_kill_before_it_is_folded() {
    let mut world = World::new();
    let (mut first, mut second) = (source(1), source(2));
    world.push(&mut first, 5.0, false).await;
    world.push(&mut first, 6.0, true).await;
    world.push(&mut second, 3.0, true).await;
    let mut world = world.kill();
    assert_eq!(world.total().await, 9.0);
    let head = world.snapshot().await.head;
    assert!(head.is_settled(Instant(0), ReapPolicy::default().settle), "nobody is missing");
    world.reap(DAY).await;
    world.push(&mut second, 3.0, true).await;
    let world = world.kill();
    assert_eq!(world.total().await, 9.0);
    assert_eq!(world.snapshot().await.records.len(), 0, "they are folded");
}

#[tokio::test]
async fn a_last_push_of_a_revived_source_keeps_its_base() {
    let mut world = World::new();
    let mut paused = source(1);
    world.push(&mut paused, 5.0, false).await;
    world.reap(DAY).await;
    world.push(&mut paused, 7.0, true).await;
    let world = world.kill();
    assert_eq!(world.total().await, 7.0);
    world.reap(DAY).await;
    assert_eq!(world.kill().total().await, 7.0);
}

#[tokio::test]
async fn who_was_live_is_waited_for_after_a_kill_and_once_only() {
    let policy = ReapPolicy::default();
    let mut world = World::new();
    let (mut gone, mut living) = (source(1), source(2));
    world.push(&mut gone, 5.0, false).await;
    let mut world = world.kill();
    assert!(!world.snapshot().await.head.is_settled(Instant(0), policy.settle), "its values are missing");
    world.push(&mut living, 3.0, true).await;
    world.reap(DAY).await;
    let world = world.kill();
    assert!(world.snapshot().await.head.is_settled(Instant(0), policy.settle), "it is not waited for again");
    assert_eq!(world.total().await, 3.0);
}

/// What the archive has of a source that is not waited for any more is still known when it comes back.
#[tokio::test]
async fn a_missing_source_with_a_base_is_not_counted_twice_when_it_comes_back_late() {
    let mut world = World::new();
    let (mut paused, mut other) = (source(1), source(2));
    world.push(&mut paused, 5.0, false).await;
    world.reap(DAY).await;
    world.push(&mut paused, 7.0, false).await;
    let mut world = world.kill();
    world.push(&mut other, 1.0, true).await;
    world.reap(DAY).await;
    let mut world = world.kill();
    world.push(&mut paused, 8.0, false).await;
    assert_eq!(world.total().await, 9.0);
}

/// Many sources at once, so that they share writes, in a process that is killed at different moments: what was
/// acknowledged is there.
#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_kill_at_any_moment() {
    for acknowledged in 0..40 {
        let directory = tempfile::tempdir().expect("a directory");
        let mut child = std::process::Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "a_process_that_pushes", "--ignored", "--nocapture"])
            .env(CHILD, directory.path())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let mut lines = lines.filter(|line| line.contains("acknowledged"));
        let seen = lines.by_ref().take(acknowledged * 5).count();
        child.kill().expect("killed");
        // What it had said before it was killed.
        let seen = seen + lines.count();
        child.wait().expect("ended");
        let total = World::open(directory, 0).total().await;
        assert!(
            total >= seen as f64 && total <= f64::from(SOURCES),
            "{seen} were acknowledged, {total} are there"
        );
    }
}

const CHILD: &str = "METRIFOLD_TEST_DATA_DIR";
const SOURCES: u32 = 200;

/// Not a test by itself.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the other process of what_was_acknowledged_is_there_after_a_kill_at_any_moment"]
async fn a_process_that_pushes() {
    let Some(directory) = std::env::var_os(CHILD) else { return };
    let store = Arc::new(open(directory.as_ref()).expect("opens"));
    let mut pushing = tokio::task::JoinSet::new();
    for id in 1..=SOURCES {
        let store = Arc::clone(&store);
        pushing.spawn(async move {
            let mut pusher = source(id.into());
            let now = Instant(1);
            while pusher.poll(now, Incarnation(0)) == Step::Gather {
                let push = pusher.offer(now, &one_counter(), Values::from_slots(vec![1.0]), true);
                let answer = store.push(&Namespace::default(), &push).await.expect("the store answers");
                pusher.answered(now, push.seq, answer);
            }
            println!("acknowledged {id}");
        });
    }
    while pushing.join_next().await.is_some() {}
    std::future::pending::<()>().await;
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

/// An entry that another version wrote, or a disk has damaged, costs itself and no more; and what stands there is left alone.
#[tokio::test]
async fn an_entry_that_cannot_be_read_keeps_no_server_from_starting() {
    let mut world = World::new();
    let mut ended: Vec<_> = (1..=3).map(source).collect();
    for (pusher, value) in ended.iter_mut().zip([1.0, 2.0, 4.0]) {
        world.push(pusher, value, true).await;
    }
    let World { store, namespace, clock, directory } = world;
    drop(store);
    let table = redb::TableDefinition::<(&str, u64), &[u8]>::new("ended");
    let damage = |source: u64| {
        let file = directory.path().join("metrifold.redb");
        let database = redb::Database::open(file).expect("opens");
        let write = database.begin_write().expect("writable");
        write
            .open_table(table)
            .expect("there")
            .insert((namespace.as_str(), source), &b"nonsense"[..])
            .expect("put");
        write.commit().expect("written");
    };
    damage(2);

    let world = World::open(directory, clock);
    let seen = world.snapshot().await;
    let named: Vec<_> = seen.unreadable.keys().copied().collect();
    assert_eq!(named, [Part::Record(Incarnation(2))]);
    assert_eq!(world.total().await, 5.0);
    let view = merge(&[Arc::new(seen)], &MergeOptions::default());
    let told: Vec<_> = view.conflicts.iter().map(ToString::to_string).collect();
    assert!(
        told.len() == 1 && told[0].contains("0000000000000002") && told[0].contains("tombstone blob"),
        "{told:?}"
    );
    world.reap(DAY).await;
    let mut world = world.kill();
    assert_eq!(world.total().await, 5.0, "and after the next start");
    let mut late = source(2);
    world.push(&mut late, 9.0, true).await;
    assert_eq!(world.total().await, 5.0, "nobody knows what of it was counted");
}
