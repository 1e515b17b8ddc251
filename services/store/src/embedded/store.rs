//! The store over its shards.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant as Monotonic},
};

use async_trait::async_trait;
use dashmap::DashMap;
use metrifold_model::{Epoch, Namespace, limits};
use metrifold_session::{Answer, Commit, Instant, Push, ShardSnapshot, Verdict};
use parking_lot::Mutex;

use super::{
    disk::Disk,
    shard::Shard,
    writer::{Ticket, Unwritten, Writer},
};
use crate::{CommitOutcome, ShardIndex, Store, StoreError};

/// Settings of an embedded store.
#[derive(Clone, Debug)]
pub struct EmbeddedSettings {
    /// Where archive, tombstones, the list of live sources and the last values of ended ones survive a restart; `None`: they
    /// end with the process.
    pub data_dir: Option<PathBuf>,
    /// Most sources of one namespace. Default [`limits::SOURCES_PER_NAMESPACE_MAX`].
    pub sources_max: usize,
}

impl Default for EmbeddedSettings {
    fn default() -> Self {
        EmbeddedSettings { data_dir: None, sources_max: limits::SOURCES_PER_NAMESPACE_MAX }
    }
}

/// A store in this process's memory. One shard per namespace; it opens itself and is never sealed.
///
/// With a data directory, a push is answered when what has to survive of it is durable: that there is such a source, and
/// what one that has ended sent last. A commit is answered when it is durable.
pub struct EmbeddedStore {
    spaces: DashMap<Namespace, Arc<Mutex<Space>>>,
    writer: Option<Writer>,
    sources_max: usize,
    started: Monotonic,
}

/// One namespace: its only shard, and what the writer has been given of it.
struct Space {
    shard: Shard,
    unwritten: Unwritten,
}

impl Space {
    fn new(shard: Shard) -> Arc<Mutex<Space>> {
        Arc::new(Mutex::new(Space { shard, unwritten: Unwritten::default() }))
    }
}

impl EmbeddedStore {
    /// Opens the store, with what its data directory holds.
    ///
    /// # Errors
    /// If the data directory cannot be used, is used by another process, or holds what this version cannot read.
    pub fn open(settings: EmbeddedSettings) -> Result<Self, StoreError> {
        let mut store = EmbeddedStore {
            spaces: DashMap::new(),
            writer: None,
            sources_max: settings.sources_max,
            started: Monotonic::now(),
        };
        let Some(directory) = settings.data_dir else { return Ok(store) };
        let disk = Disk::open(&directory)?;
        for left in disk.load()? {
            let namespace = left.namespace.clone();
            let (epoch, version) = random_ids();
            let shard = Shard::reopen(left, epoch, version, store.now(), store.sources_max);
            store.spaces.insert(namespace, Space::new(shard));
        }
        let held = store.spaces.iter().map(|space| space.key().clone()).collect();
        store.writer = Some(Writer::start(disk, held)?);
        Ok(store)
    }

    /// Removes what a data directory holds, also under a store that has it open, which goes on in memory. What cannot be removed
    /// stays.
    pub fn remove(directory: &Path) {
        Disk::remove(directory);
    }

    fn now(&self) -> Instant {
        Instant::default() + self.started.elapsed()
    }

    /// A namespace, made on first use.
    fn space(&self, namespace: &Namespace) -> Arc<Mutex<Space>> {
        if let Some(space) = self.spaces.get(namespace) {
            return space.clone();
        }
        let open = || {
            let (epoch, version) = random_ids();
            Space::new(Shard::open(epoch, version, self.sources_max))
        };
        self.spaces.entry(namespace.clone()).or_insert_with(open).clone()
    }

    async fn durable(&self, namespace: &Namespace, ticket: Option<Ticket>) -> Result<(), StoreError> {
        match (&self.writer, ticket) {
            (Some(writer), Some(ticket)) => writer.durable(namespace, ticket).await,
            _ => Ok(()),
        }
    }

    /// The answer to a push, and what has to be durable before it may be given.
    fn decide(&self, namespace: &Namespace, push: &Push) -> (Answer, Option<Ticket>) {
        let space = self.space(namespace);
        let Space { shard, unwritten } = &mut *space.lock();
        let incarnation = push.incarnation;
        let (answer, change) = match shard.decide(push, self.now()) {
            Verdict::Reply(answer) => (answer, None),
            Verdict::Write { record, answer } => (answer, shard.write(incarnation, *record)),
        };
        let Some(writer) = &self.writer else { return (answer, None) };
        let ticket = match change {
            Some(change) => Some(writer.write_source(namespace, unwritten, shard, incarnation, change)),
            None => writer.earlier(namespace, unwritten, shard, incarnation),
        };
        (answer, ticket)
    }
}

fn random_ids() -> (Epoch, u64) {
    (Epoch(rand::random::<u64>().max(1)), rand::random())
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn push(&self, namespace: &Namespace, push: &Push) -> Result<Answer, StoreError> {
        let (answer, ticket) = self.decide(namespace, push);
        self.durable(namespace, ticket).await?;
        Ok(answer)
    }

    async fn shards(&self, _namespace: &Namespace) -> Result<u16, StoreError> {
        Ok(1)
    }

    async fn snapshot(
        &self,
        namespace: &Namespace,
        _shard: ShardIndex,
    ) -> Result<Arc<ShardSnapshot>, StoreError> {
        let space = self.space(namespace);
        let snapshot = space.lock().shard.snapshot(self.now());
        Ok(Arc::new(snapshot))
    }

    async fn commit(
        &self,
        namespace: &Namespace,
        _shard: ShardIndex,
        commit: &Commit,
    ) -> Result<CommitOutcome, StoreError> {
        let ticket = {
            let space = self.space(namespace);
            let Space { shard, unwritten } = &mut *space.lock();
            let Some(change) = shard.commit(commit, rand::random()) else {
                return Ok(CommitOutcome::Conflict);
            };
            self.writer.as_ref().map(|writer| {
                writer.forget(namespace, unwritten);
                writer.write(namespace, unwritten, shard, change)
            })
        };
        self.durable(namespace, ticket).await?;
        Ok(CommitOutcome::Committed)
    }

    /// On disk the age goes with the next commit or birth: a little younger after a restart only means that tombstones
    /// are kept a little longer.
    async fn advance_age(
        &self,
        namespace: &Namespace,
        _shard: ShardIndex,
        expected: Instant,
        age: Instant,
    ) -> Result<CommitOutcome, StoreError> {
        Ok(self.space(namespace).lock().shard.advance_age(expected, age))
    }

    async fn restore(
        &self,
        namespace: &Namespace,
        _shard: ShardIndex,
        memory: Option<&ShardSnapshot>,
        settle: Duration,
    ) -> Result<CommitOutcome, StoreError> {
        let ticket = {
            let space = self.space(namespace);
            let Space { shard, unwritten } = &mut *space.lock();
            let Some(contents) = shard.restored(memory, random_ids(), self.now(), settle) else {
                return Ok(CommitOutcome::Conflict);
            };
            shard.replace(contents);
            self.writer.as_ref().map(|writer| writer.write_whole(namespace, unwritten, shard))
        };
        self.durable(namespace, ticket).await?;
        Ok(CommitOutcome::Committed)
    }

    async fn namespaces(&self) -> Result<Vec<Namespace>, StoreError> {
        let mut names: Vec<_> = self.spaces.iter().map(|entry| entry.key().clone()).collect();
        names.sort();
        Ok(names)
    }

    /// Writes what could not be written before.
    async fn check(&self) -> Result<(), StoreError> {
        self.catch_up().await
    }

    async fn catch_up(&self) -> Result<(), StoreError> {
        let Some(writer) = &self.writer else { return Ok(()) };
        for namespace in self.namespaces().await? {
            let ticket = {
                let space = self.space(&namespace);
                let Space { shard, unwritten } = &mut *space.lock();
                writer.catch_up(&namespace, unwritten, shard)
            };
            self.durable(&namespace, ticket).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use metrifold_model::{Incarnation, Worker};
    use metrifold_session::{Pusher, PusherSettings, Step};

    use super::*;

    fn on(disk: Disk) -> EmbeddedStore {
        let mut store = EmbeddedStore::open(EmbeddedSettings::default()).expect("opens");
        store.writer = Some(Writer::start(disk, Default::default()).expect("a thread"));
        store
    }

    fn hello(incarnation: u64) -> Push {
        let now = Instant(1);
        let mut pusher =
            Pusher::new(Incarnation(incarnation), Worker::default(), PusherSettings::default(), now);
        assert_eq!(pusher.poll(now, Incarnation(0)), Step::Gather);
        pusher.offer(now, &Default::default(), Default::default(), false)
    }

    #[tokio::test]
    async fn a_disk_that_fails_holds_up_what_needs_it_and_gets_all_of_it_later() {
        let folder = tempfile::tempdir().expect("a directory");
        let directory = folder.path().join("data");
        let store = on(Disk::closed(&directory));
        let namespace = Namespace::default();
        for source in 1..=3 {
            let error = store.push(&namespace, &hello(source)).await.expect_err("nothing can be written");
            assert!(error.is_retryable() && error.to_string().contains("store.data_dir"), "{error}");
        }
        let repeated = store.push(&namespace, &hello(1)).await;
        assert!(repeated.is_err(), "a repetition is not acknowledged either");
        assert!(store.check().await.is_err());

        std::fs::create_dir(&directory).expect("a directory");
        store.push(&namespace, &hello(2)).await.expect("acknowledged");
        store.check().await.expect("nothing is behind any more");
        drop(store);
        let left = Disk::open(&directory).and_then(|disk| disk.load()).expect("readable");
        let live: Vec<_> = left[0].live.iter().map(|incarnation| incarnation.0).collect();
        assert_eq!(live, [1, 2, 3], "what failed before is there too");
    }
}
