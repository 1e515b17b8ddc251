//! A store whose reads are noted as they pass.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use metrifold_model::Namespace;
use metrifold_session::{Answer, Commit, Instant, Push, ShardSnapshot};
use metrifold_store::{CommitOutcome, ShardIndex, Store, StoreError};

use super::Sights;

/// Passes every call on, and notes in [`Sights`] what is read, what fails and what is refused.
pub struct SightedStore {
    inner: Arc<dyn Store>,
    sights: Arc<Sights>,
}

impl SightedStore {
    /// Notes in `sights` what passes to `inner`.
    pub fn new(inner: Arc<dyn Store>, sights: Arc<Sights>) -> Self {
        SightedStore { inner, sights }
    }
}

#[async_trait]
impl Store for SightedStore {
    async fn push(&self, namespace: &Namespace, push: &Push) -> Result<Answer, StoreError> {
        let answer = self.inner.push(namespace, push).await;
        if let Ok(Answer::Refused(refusal)) = &answer {
            self.sights.refused(namespace, *refusal, &push.worker);
        }
        answer
    }

    async fn shards(&self, namespace: &Namespace) -> Result<u16, StoreError> {
        self.sights.noted_whole(self.inner.shards(namespace).await)
    }

    async fn snapshot(
        &self,
        namespace: &Namespace,
        shard: ShardIndex,
    ) -> Result<Arc<ShardSnapshot>, StoreError> {
        let read = self.inner.snapshot(namespace, shard).await;
        match &read {
            Ok(snapshot) => self.sights.saw(namespace, shard, snapshot),
            Err(error) => self.sights.missed(namespace, shard, error),
        }
        read
    }

    async fn commit(
        &self,
        namespace: &Namespace,
        shard: ShardIndex,
        commit: &Commit,
    ) -> Result<CommitOutcome, StoreError> {
        self.inner.commit(namespace, shard, commit).await
    }

    async fn advance_age(
        &self,
        namespace: &Namespace,
        shard: ShardIndex,
        expected: Instant,
        age: Instant,
    ) -> Result<CommitOutcome, StoreError> {
        self.inner.advance_age(namespace, shard, expected, age).await
    }

    async fn restore(
        &self,
        namespace: &Namespace,
        shard: ShardIndex,
        memory: Option<&ShardSnapshot>,
        settle: Duration,
    ) -> Result<CommitOutcome, StoreError> {
        self.inner.restore(namespace, shard, memory, settle).await
    }

    async fn namespaces(&self) -> Result<Vec<Namespace>, StoreError> {
        let listed = self.sights.noted_whole(self.inner.namespaces().await);
        if let Ok(namespaces) = &listed {
            self.sights.listed(namespaces);
        }
        listed
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.sights.noted_whole(self.inner.check().await)
    }
}
