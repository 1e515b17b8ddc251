//! A directory scan by scan, with real files and real processes that hold them, and a clock that the test moves.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::PathBuf,
    process::{Child, Command},
    sync::Arc,
    time::Duration,
};

use metrifold_model::{Incarnation, Namespace};
use metrifold_push::Transport;
use metrifold_segment::MultiprocDirectory;
use metrifold_session::{Instant, PusherSettings, ReapPolicy, reap};
use metrifold_store::{EmbeddedSettings, EmbeddedStore, ShardIndex, Store};
use tempfile::TempDir;

use super::{Files, FilesSettings, PidLiveness};
use crate::{directory::Directory, sources::Targets, transport::StoreTransport};

/// Bytes of the length at a file's beginning.
const LENGTH_BYTES: usize = 8;

/// A process that has a file open, as one that counts in it has.
struct Holder(Child);

impl Holder {
    fn of(path: &std::path::Path) -> Holder {
        let file = File::open(path).expect("there is a file");
        Holder(Command::new("sleep").arg("600").stdin(file).spawn().expect("starts"))
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn kill(self) {
        drop(self);
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.kill().expect("killed");
        self.0.wait().expect("ended");
    }
}

/// A file as prometheus_client writes it, with one counter.
fn counter(value: f64) -> Vec<u8> {
    let key = r#"["c", "c_total", {}, "Things."]"#;
    let padded = format!("{key}{}", " ".repeat(8 - (key.len() + 4) % 8));
    let entry = [
        &u32::try_from(key.len()).expect("short").to_ne_bytes()[..],
        padded.as_bytes(),
        &value.to_ne_bytes(),
        &0_f64.to_ne_bytes(),
    ]
    .concat();
    let used = LENGTH_BYTES + entry.len();
    let mut bytes = u32::try_from(used).expect("short").to_ne_bytes().to_vec();
    bytes.resize(LENGTH_BYTES, 0);
    bytes.extend(entry);
    bytes.resize(4096, 0);
    bytes
}

struct World {
    folder: TempDir,
    store: Arc<EmbeddedStore>,
    targets: Targets,
    files: Files,
    now: Instant,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().expect("a directory");
        let store = Arc::new(EmbeddedStore::open(EmbeddedSettings::default()).expect("opens"));
        let transports: Vec<Arc<dyn Transport>> = vec![Arc::new(StoreTransport::new("own", store.clone()))];
        let targets = Targets { transports, pusher: PusherSettings::default() };
        let files = open(&folder, &store);
        World { folder, store, targets, files, now: Instant(1_000) }
    }

    /// The next agent, after this one was stopped in the middle of whatever it did.
    fn next_agent(self) -> World {
        let World { folder, store, targets, files, now } = self;
        drop(files);
        let files = open(&folder, &store);
        World { folder, store, targets, files, now }
    }

    /// A process that has counted in a file of its own, and the file's path.
    fn process(&self, value: f64) -> (Holder, PathBuf) {
        let made = self.folder.path().join("made");
        std::fs::write(&made, counter(value)).expect("writable");
        let holder = Holder::of(&made);
        let path = self.folder.path().join(format!("counter_{}.db", holder.pid()));
        std::fs::rename(made, &path).expect("renamed");
        (holder, path)
    }

    /// A second passes: the directory is looked at, everything due is pushed, and the dead are folded.
    async fn second(&mut self) {
        self.now = self.now + Duration::from_secs(1);
        self.files.scan(&self.targets, self.now).expect("readable");
        loop {
            let fresh = || Incarnation(rand::random());
            let due = self.files.sources().due(None, self.now, &fresh).pushes;
            if due.is_empty() {
                break;
            }
            for (key, namespace, metrifold_push::Due { target, push }) in due {
                let answer = self.targets.transports[target].push(&namespace, &push).await.expect("answers");
                self.files.sources().answered(key, target, self.now, push.seq, answer);
            }
        }
        let shard = ShardIndex(0);
        let snapshot = self.store.snapshot(&Namespace::default(), shard).await.expect("reads");
        if let Some(commit) = reap(&snapshot, &ReapPolicy::default()) {
            self.store.commit(&Namespace::default(), shard, &commit).await.expect("commits");
        }
        if let Some(question) = self.files.question(self.now) {
            self.files.answered(question.answer().await, self.now);
        }
    }

    async fn seconds(&mut self, count: usize) {
        for _ in 0..count {
            self.second().await;
        }
    }

    async fn total(&self) -> f64 {
        let snapshot = self.store.snapshot(&Namespace::default(), ShardIndex(0)).await.expect("reads");
        let view = metrifold_merge::merge(&[snapshot], &metrifold_merge::MergeOptions::default());
        view.families.first().map_or(0.0, |family| family.values[0])
    }

    /// Files that have no name now.
    fn aside(&self) -> Vec<PathBuf> {
        let folder = MultiprocDirectory::open(self.folder.path()).expect("opens").leaving();
        let entries = std::fs::read_dir(folder).map(|entries| entries.flatten().map(|entry| entry.path()));
        entries.map(Iterator::collect).unwrap_or_default()
    }

    /// Seconds pass until one file has lost its name.
    async fn until_aside(&mut self) -> PathBuf {
        for _ in 0..20 {
            self.second().await;
            if let [path] = self.aside().as_slice() {
                return path.clone();
            }
        }
        panic!("no file was put aside: {:?}", self.files.counts());
    }
}

fn open(folder: &TempDir, store: &Arc<EmbeddedStore>) -> Files {
    let directory = MultiprocDirectory::open(folder.path()).expect("opens");
    let lock = directory.agent_lock().expect("free");
    let settings = FilesSettings {
        namespace: Namespace::default(),
        instance: "here".into(),
        liveness: PidLiveness::Pid,
        is_cleaned_up: true,
        store: store.clone(),
    };
    Files::open(directory, lock, settings).expect("a ledger")
}

#[tokio::test]
async fn the_file_of_a_dead_process_goes_when_its_values_are_in_the_archive() {
    let mut world = World::new();
    let (process, path) = world.process(5.0);
    world.seconds(3).await;
    assert_eq!((world.total().await, path.exists()), (5.0, true));
    process.kill();
    world.until_aside().await;
    world.seconds(3).await;
    assert_eq!((world.total().await, path.exists(), world.aside().len()), (5.0, false, 0));
    assert_eq!(world.files.counts().removed, 1);
}

/// A process opened the file before it lost its name, and counts in it afterwards.
#[tokio::test]
async fn a_process_that_opened_a_file_before_it_was_put_aside_loses_nothing() {
    let mut world = World::new();
    let (first, path) = world.process(5.0);
    world.seconds(3).await;
    let second = Holder::of(&path);
    let file = File::options().write(true).open(&path).expect("there");
    first.kill();
    world.until_aside().await;
    file.write_all_at(&counter(7.0), 0).expect("written");
    world.seconds(4).await;
    assert_eq!(world.total().await, 7.0);
    assert!(path.exists(), "it has its name again");
    second.kill();
    world.seconds(12).await;
    assert_eq!((world.total().await, path.exists(), world.aside().len()), (7.0, false, 0));
}

/// As before, and meanwhile a new process has made a file of the same name.
#[tokio::test]
async fn two_files_of_one_name_are_both_counted_to_the_end() {
    let mut world = World::new();
    let (first, path) = world.process(5.0);
    world.seconds(3).await;
    let second = Holder::of(&path);
    let file = File::options().write(true).open(&path).expect("there");
    first.kill();
    world.until_aside().await;
    file.write_all_at(&counter(7.0), 0).expect("written");
    std::fs::write(&path, counter(2.0)).expect("written");
    let third = Holder::of(&path);
    world.seconds(4).await;
    assert_eq!(world.total().await, 9.0);
    file.write_all_at(&counter(8.0), 0).expect("written");
    let mut world = world.next_agent();
    world.seconds(4).await;
    assert_eq!(world.total().await, 10.0, "the next agent goes on with both");
    second.kill();
    third.kill();
    world.seconds(20).await;
    assert_eq!((world.total().await, path.exists(), world.aside().len()), (10.0, false, 0));
}

#[tokio::test]
async fn the_next_agent_goes_on_with_what_was_put_aside() {
    let mut world = World::new();
    let (process, path) = world.process(5.0);
    world.seconds(3).await;
    process.kill();
    world.until_aside().await;
    let mut world = world.next_agent();
    world.seconds(4).await;
    assert_eq!((world.total().await, path.exists(), world.aside().len()), (5.0, false, 0));
}

/// Damage, or too many open files: what was counted in it is neither counted again nor forgotten.
#[tokio::test]
async fn a_file_that_cannot_be_read_on_its_way_out_is_not_counted_again_when_it_can() {
    for is_next_agent in [false, true] {
        let mut world = World::new();
        let (process, path) = world.process(5.0);
        world.seconds(3).await;
        process.kill();
        let aside = world.until_aside().await;
        std::fs::write(aside, [0xff; 64]).expect("written");
        world.seconds(4).await;
        assert_eq!((world.total().await, world.files.counts().corrupt), (5.0, 1));
        assert!(path.exists(), "it has its name again, for somebody to look at");
        if is_next_agent {
            world = world.next_agent();
            world.seconds(4).await;
            assert_eq!((world.total().await, path.exists()), (5.0, true));
        }
        std::fs::write(&path, counter(6.0)).expect("written");
        world.seconds(20).await;
        assert_eq!((world.total().await, world.files.counts().corrupt), (6.0, 0));
        assert!(!path.exists(), "and it goes after all");
    }
}

#[tokio::test]
async fn a_want_of_open_files_delays_and_loses_nothing() {
    let mut world = World::new();
    let (process, path) = world.process(5.0);
    world.seconds(3).await;
    let (other, _) = world.process(2.0);
    process.kill();
    let hoard = every_descriptor();
    // Neither the directory can be read, nor a process looked at.
    world.second().await;
    assert!(world.files.is_unreadable);
    assert_eq!(world.total().await, 5.0);
    // The file of the dead process lets one go, which has to do for all.
    world.seconds(8).await;
    drop(hoard);
    world.seconds(12).await;
    assert_eq!((world.total().await, path.exists()), (7.0, false));
    drop(other);
}

/// All files that this test's process may open.
fn every_descriptor() -> Vec<File> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum: Some(64) }).expect("lower");
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

#[tokio::test]
async fn who_cannot_be_seen_for_want_of_open_files_is_not_dead() {
    let mut world = World::new();
    let (process, path) = world.process(5.0);
    let (nameless, removed) = world.process(1.0);
    world.seconds(3).await;
    std::fs::remove_file(removed).expect("removed");
    let hoard = every_descriptor();
    world.seconds(8).await;
    assert_eq!(world.files.counts().live, 2);
    drop(hoard);
    let file = File::options().write(true).open(&path).expect("there");
    file.write_all_at(&counter(6.0), 0).expect("written");
    world.seconds(3).await;
    assert_eq!((world.total().await, world.files.counts().live), (7.0, 2));
    drop((process, nameless));
}

#[tokio::test]
async fn a_directory_that_cannot_be_read_yet_has_not_arrived() {
    let mut world = World::new();
    let (process, _) = world.process(5.0);
    let hoard = every_descriptor();
    world.second().await;
    assert!(!world.files.is_known());
    drop(hoard);
    world.second().await;
    assert!(world.files.is_known());
    drop(process);
}
