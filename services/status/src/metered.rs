//! A store that counts what passes through it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use metrifold_model::Namespace;
use metrifold_session::{Answer, Commit, Instant, Push, Refusal, ShardSnapshot};
use metrifold_store::{CommitOutcome, ShardIndex, Store, StoreError};
use metrifold_telemetry::Metrics;

/// Passes every call on and counts its outcome in [`Metrics`].
pub struct MeteredStore {
    inner: Arc<dyn Store>,
    metrics: Metrics,
}

impl MeteredStore {
    /// Counts what passes to `inner`.
    pub fn new(inner: Arc<dyn Store>, metrics: Metrics) -> Self {
        MeteredStore { inner, metrics }
    }

    fn counted<T>(&self, operation: &str, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error) = &result {
            self.metrics.store_errors.with_label_values(&[operation]).inc();
            tracing::debug!(operation, %error, "the store failed");
        }
        result
    }
}

/// The label `answer` of a push.
fn answer_name(answer: &Answer) -> &'static str {
    match answer {
        Answer::Ok { .. } => "ok",
        Answer::Sealed => "sealed",
        Answer::Behind { .. } => "behind",
        Answer::Expired => "expired",
        Answer::NeedDescriptors => "need_descriptors",
        Answer::NeedValues => "need_values",
        Answer::Refused(_) => "refused",
    }
}

/// The label `reason` of a refused push.
fn refusal_name(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::TooManySlots => "slots_per_source_max",
        Refusal::TooManySources => "sources_per_namespace_max",
        Refusal::ValuesWithoutDescriptors => "values_without_descriptors",
        Refusal::NotFinite => "not_finite",
        Refusal::TooLong => "too_long",
        Refusal::Negative => "negative",
        Refusal::Name => "name",
        Refusal::Time => "time",
        Refusal::Seq => "seq",
        Refusal::Annotations => "annotations",
        Refusal::TooLarge => "push_bytes_max",
    }
}

#[async_trait]
impl Store for MeteredStore {
    async fn push(&self, namespace: &Namespace, push: &Push) -> Result<Answer, StoreError> {
        let answer = self.counted("push", self.inner.push(namespace, push).await)?;
        self.metrics.pushes.with_label_values(&[answer_name(&answer)]).inc();
        if let Answer::Refused(refusal) = &answer {
            let reason = refusal_name(refusal);
            self.metrics.pushes_refused.with_label_values(&[reason]).inc();
            tracing::warn!(%namespace, incarnation = %push.incarnation, worker = %push.worker.process, reason, "a push was refused: {refusal}");
        }
        Ok(answer)
    }

    async fn shards(&self, namespace: &Namespace) -> Result<u16, StoreError> {
        self.counted("shards", self.inner.shards(namespace).await)
    }

    async fn snapshot(
        &self,
        namespace: &Namespace,
        shard: ShardIndex,
    ) -> Result<Arc<ShardSnapshot>, StoreError> {
        self.counted("snapshot", self.inner.snapshot(namespace, shard).await)
    }

    async fn commit(
        &self,
        namespace: &Namespace,
        shard: ShardIndex,
        commit: &Commit,
    ) -> Result<CommitOutcome, StoreError> {
        let outcome = self.counted("commit", self.inner.commit(namespace, shard, commit).await)?;
        match outcome {
            CommitOutcome::Committed => {
                self.metrics.folded.inc_by(commit.folded.len() as u64);
                self.metrics.trimmed.inc_by(commit.trimmed.len() as u64);
            }
            CommitOutcome::Conflict => self.metrics.commit_conflicts.inc(),
        }
        Ok(outcome)
    }

    async fn advance_age(
        &self,
        namespace: &Namespace,
        shard: ShardIndex,
        expected: Instant,
        age: Instant,
    ) -> Result<CommitOutcome, StoreError> {
        self.counted("advance_age", self.inner.advance_age(namespace, shard, expected, age).await)
    }

    async fn restore(
        &self,
        namespace: &Namespace,
        shard: ShardIndex,
        memory: Option<&ShardSnapshot>,
        settle: Duration,
    ) -> Result<CommitOutcome, StoreError> {
        let outcome = self.counted("restore", self.inner.restore(namespace, shard, memory, settle).await)?;
        if outcome == CommitOutcome::Committed {
            self.metrics.restores.inc();
        }
        Ok(outcome)
    }

    async fn namespaces(&self) -> Result<Vec<Namespace>, StoreError> {
        self.counted("namespaces", self.inner.namespaces().await)
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.counted("check", self.inner.check().await)
    }

    async fn catch_up(&self) -> Result<(), StoreError> {
        self.counted("catch_up", self.inner.catch_up().await)
    }
}
