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

use super::shard::Shard;
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
    shards: DashMap<Namespace, Arc<Mutex<Shard>>>,
    settings: EmbeddedSettings,
    started: Monotonic,
}

impl EmbeddedStore {
    /// Opens the store.
    pub fn open(settings: EmbeddedSettings) -> Result<Self, StoreError> {
        Ok(EmbeddedStore { shards: DashMap::new(), settings, started: Monotonic::now() })
    }

    fn now(&self) -> Instant {
        Instant::default() + self.started.elapsed()
    }

    /// The shard of a namespace, made on first use. A read of an unknown namespace makes none.
    fn shard_for_push(&self, namespace: &Namespace) -> Arc<Mutex<Shard>> {
        if let Some(shard) = self.shards.get(namespace) {
            return shard.clone();
        }
        let open = || {
            let (epoch, version) = random_ids();
            Arc::new(Mutex::new(Shard::open(epoch, version, self.settings.sources_max)))
        };
        self.shards.entry(namespace.clone()).or_insert_with(open).clone()
    }
}

fn random_ids() -> (Epoch, u64) {
    (Epoch(rand::random::<u64>().max(1)), rand::random())
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn push(&self, namespace: &Namespace, push: &Push) -> Result<Answer, StoreError> {
        let shard = self.shard_for_push(namespace);
        let mut shard = shard.lock();
        match shard.decide(push, self.now()) {
            Verdict::Reply(answer) => Ok(answer),
            Verdict::Write { record, answer } => {
                shard.write(push.incarnation, *record);
                Ok(answer)
            }
        }
    }

    async fn shards(&self, _namespace: &Namespace) -> Result<u16, StoreError> {
        Ok(1)
    }

    async fn snapshot(
        &self,
        namespace: &Namespace,
        _shard: ShardIndex,
    ) -> Result<Arc<ShardSnapshot>, StoreError> {
        let shard = self.shard_for_push(namespace);
        let snapshot = shard.lock().snapshot(self.now());
        Ok(Arc::new(snapshot))
    }

    async fn commit(
        &self,
        namespace: &Namespace,
        _shard: ShardIndex,
        commit: &Commit,
    ) -> Result<CommitOutcome, StoreError> {
        let shard = self.shard_for_push(namespace);
        let mut shard = shard.lock();
        if !shard.fits(commit) {
            return Ok(CommitOutcome::Conflict);
        }
        shard.commit(commit, rand::random());
        Ok(CommitOutcome::Committed)
    }

    async fn advance_age(
        &self,
        namespace: &Namespace,
        _shard: ShardIndex,
        expected: Instant,
        age: Instant,
    ) -> Result<CommitOutcome, StoreError> {
        Ok(self.shard_for_push(namespace).lock().advance_age(expected, age))
    }

    async fn restore(
        &self,
        namespace: &Namespace,
        _shard: ShardIndex,
        memory: Option<&ShardSnapshot>,
        settle: Duration,
    ) -> Result<CommitOutcome, StoreError> {
        let shard = self.shard_for_push(namespace);
        Ok(shard.lock().restore(memory, random_ids(), self.now(), settle))
    }

    async fn namespaces(&self) -> Result<Vec<Namespace>, StoreError> {
        let mut names: Vec<_> = self.shards.iter().map(|entry| entry.key().clone()).collect();
        names.sort();
        Ok(names)
    }

    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
