//! The store over its shards.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant as Monotonic},
};

use async_trait::async_trait;
use dashmap::DashMap;
use metrifold_model::{Epoch, Namespace, limits};
use metrifold_session::{Answer, Commit, Instant, Push, ShardSnapshot, Verdict};
use parking_lot::Mutex;

use super::{disk::Disk, shard::Shard};
use crate::{CommitOutcome, ShardIndex, Store, StoreError};

/// Settings of an embedded store.
#[derive(Clone, Debug)]
pub struct EmbeddedSettings {
    /// Where archive, tombstones and the list of live sources survive a restart; `None`: they end with the process.
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
pub struct EmbeddedStore {
    inner: Arc<Inner>,
}

struct Inner {
    shards: DashMap<Namespace, Arc<Mutex<Shard>>>,
    disk: Option<Disk>,
    sources_max: usize,
    started: Monotonic,
}

impl EmbeddedStore {
    /// Opens the store, with what its data directory holds.
    ///
    /// # Errors
    /// If the data directory cannot be used, is used by another process, or holds what this version cannot read.
    pub fn open(settings: EmbeddedSettings) -> Result<Self, StoreError> {
        let disk = settings.data_dir.as_deref().map(Disk::open).transpose()?;
        let left = disk.as_ref().map(Disk::load).transpose()?.unwrap_or_default();
        let inner = Inner {
            shards: DashMap::new(),
            disk,
            sources_max: settings.sources_max,
            started: Monotonic::now(),
        };
        for left in left {
            let namespace = left.namespace.clone();
            let (epoch, version) = random_ids();
            let shard = Shard::reopen(left, epoch, version, inner.now(), inner.sources_max);
            inner.shards.insert(namespace, Arc::new(Mutex::new(shard)));
        }
        Ok(EmbeddedStore { inner: Arc::new(inner) })
    }

    /// Carries out a step that waits for the disk, off the threads that serve.
    async fn blocking<T: Send + 'static>(
        &self,
        step: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = self.inner.clone();
        let done = tokio::task::spawn_blocking(move || step(&inner)).await;
        done.unwrap_or_else(|error| Err(StoreError::Unavailable(format!("the step broke: {error}"))))
    }
}

impl Inner {
    fn now(&self) -> Instant {
        Instant::default() + self.started.elapsed()
    }

    /// The shard of a namespace, made on first use.
    fn shard(&self, namespace: &Namespace) -> Arc<Mutex<Shard>> {
        if let Some(shard) = self.shards.get(namespace) {
            return shard.clone();
        }
        let open = || {
            let (epoch, version) = random_ids();
            Arc::new(Mutex::new(Shard::open(epoch, version, self.sources_max)))
        };
        self.shards.entry(namespace.clone()).or_insert_with(open).clone()
    }

    /// A push that needs no disk; `None` if it does: a source appears, and with it perhaps a base.
    fn push_in_memory(&self, namespace: &Namespace, push: &Push) -> Option<Answer> {
        let shard = self.shard(namespace);
        let mut shard = shard.lock();
        match shard.decide(push, self.now()) {
            Verdict::Reply(answer) => Some(answer),
            Verdict::Write { .. } if self.disk.is_some() && !shard.has_record(push.incarnation) => None,
            Verdict::Write { record, answer } => {
                shard.write(push.incarnation, *record);
                Some(answer)
            }
        }
    }

    fn push_with_disk(&self, namespace: &Namespace, push: &Push) -> Result<Answer, StoreError> {
        let shard = self.shard(namespace);
        let mut shard = shard.lock();
        match shard.decide(push, self.now()) {
            Verdict::Reply(answer) => Ok(answer),
            Verdict::Write { record, answer } => {
                if let Some(disk) = self.disk.as_ref().filter(|_| !shard.has_record(push.incarnation)) {
                    disk.born(namespace, shard.head(), push.incarnation, &record)?;
                }
                shard.write(push.incarnation, *record);
                Ok(answer)
            }
        }
    }

    /// On disk first: what was answered must not be forgotten.
    fn commit(&self, namespace: &Namespace, commit: &Commit) -> Result<CommitOutcome, StoreError> {
        let shard = self.shard(namespace);
        let mut shard = shard.lock();
        if !shard.fits(commit) {
            return Ok(CommitOutcome::Conflict);
        }
        let head = shard.head_after(rand::random());
        if let Some(disk) = &self.disk {
            disk.commit(namespace, &head, commit)?;
        }
        shard.commit(commit, head);
        Ok(CommitOutcome::Committed)
    }

    fn restore(
        &self,
        namespace: &Namespace,
        memory: Option<&ShardSnapshot>,
        settle: Duration,
    ) -> Result<CommitOutcome, StoreError> {
        let shard = self.shard(namespace);
        let mut shard = shard.lock();
        let Some(contents) = shard.restored(memory, random_ids(), self.now(), settle) else {
            return Ok(CommitOutcome::Conflict);
        };
        if let Some(disk) = &self.disk {
            disk.replace(namespace, &contents)?;
        }
        shard.replace(contents);
        Ok(CommitOutcome::Committed)
    }
}

fn random_ids() -> (Epoch, u64) {
    (Epoch(rand::random::<u64>().max(1)), rand::random())
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn push(&self, namespace: &Namespace, push: &Push) -> Result<Answer, StoreError> {
        if let Some(answer) = self.inner.push_in_memory(namespace, push) {
            return Ok(answer);
        }
        let (namespace, push) = (namespace.clone(), push.clone());
        self.blocking(move |inner| inner.push_with_disk(&namespace, &push)).await
    }

    async fn shards(&self, _namespace: &Namespace) -> Result<u16, StoreError> {
        Ok(1)
    }

    async fn snapshot(
        &self,
        namespace: &Namespace,
        _shard: ShardIndex,
    ) -> Result<Arc<ShardSnapshot>, StoreError> {
        let shard = self.inner.shard(namespace);
        let snapshot = shard.lock().snapshot(self.inner.now());
        Ok(Arc::new(snapshot))
    }

    async fn commit(
        &self,
        namespace: &Namespace,
        _shard: ShardIndex,
        commit: &Commit,
    ) -> Result<CommitOutcome, StoreError> {
        if self.inner.disk.is_none() {
            return self.inner.commit(namespace, commit);
        }
        let (namespace, commit) = (namespace.clone(), commit.clone());
        self.blocking(move |inner| inner.commit(&namespace, &commit)).await
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
        Ok(self.inner.shard(namespace).lock().advance_age(expected, age))
    }

    async fn restore(
        &self,
        namespace: &Namespace,
        _shard: ShardIndex,
        memory: Option<&ShardSnapshot>,
        settle: Duration,
    ) -> Result<CommitOutcome, StoreError> {
        let (namespace, memory) = (namespace.clone(), memory.cloned());
        self.blocking(move |inner| inner.restore(&namespace, memory.as_ref(), settle)).await
    }

    async fn namespaces(&self) -> Result<Vec<Namespace>, StoreError> {
        let mut names: Vec<_> = self.inner.shards.iter().map(|entry| entry.key().clone()).collect();
        names.sort();
        Ok(names)
    }

    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
