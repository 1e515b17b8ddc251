//! A store whose reads are noted as they pass.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use metrifold_model::Namespace;
use metrifold_session::{Answer, Commit, Instant, Push, ShardSnapshot};
use metrifold_store::{CommitOutcome, ShardIndex, Store, StoreError};

use super::Observed;

/// Passes every call on, and notes in [`Observed`] what is read, what fails and what is refused.
pub struct ObservedStore {
    inner: Arc<dyn Store>,
    observed: Arc<Observed>,
}

impl ObservedStore {
    /// Notes in `observed` what passes to `inner`.
    pub fn new(inner: Arc<dyn Store>, observed: Arc<Observed>) -> Self {
        ObservedStore { inner, observed }
    }
}

#[async_trait]
impl Store for ObservedStore {
    async fn push(&self, namespace: &Namespace, push: &Push) -> Result<Answer, StoreError> {
        let answer = self.inner.push(namespace, push).await;
        if let Ok(Answer::Refused(refusal)) = &answer {
            self.observed.refused(namespace, *refusal, &push.worker);
        }
        answer
    }

    async fn shards(&self, namespace: &Namespace) -> Result<u16, StoreError> {
        self.observed.noted_whole(self.inner.shards(namespace).await)
    }

    async fn snapshot(
        &self,
        namespace: &Namespace,
        shard: ShardIndex,
    ) -> Result<Arc<ShardSnapshot>, StoreError> {
        let read = self.inner.snapshot(namespace, shard).await;
        match &read {
            Ok(snapshot) => self.observed.saw(namespace, shard, snapshot),
            Err(error) => self.observed.missed(namespace, shard, error),
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
        let listed = self.observed.noted_whole(self.inner.namespaces().await);
        if let Ok(namespaces) = &listed {
            self.observed.listed(namespaces);
        }
        listed
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.observed.noted_whole(self.inner.check().await)
    }

    async fn catch_up(&self) -> Result<(), StoreError> {
        self.inner.catch_up().await
    }
}
