//! The contract of a store.

use std::sync::Arc;

use async_trait::async_trait;
use metrifold_model::Namespace;
use metrifold_session::{Answer, Commit, Instant, Push, ShardSnapshot};

/// Number of a shard within its namespace, from 0 up to [`Store::shards`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardIndex(pub u16);

/// What became of a commit or of another compare-and-set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// Done.
    Committed,
    /// Something had changed since it was read; nothing was done. Read again.
    Conflict,
}

/// Why a store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Not reachable, or no answer in time. The operation may or may not have been carried out; every operation of
    /// this trait may simply be repeated.
    #[error("the store cannot be reached: {0}")]
    Unavailable(String),
    /// The store answered, and refused.
    #[error("the store refused: {0}")]
    Refused(String),
    /// There is no room for anything new. What is there can be read and folded, which makes room.
    #[error("the store is full: {0}")]
    Full(String),
    /// What the store holds cannot be understood.
    #[error("the store holds something that cannot be read: {0}")]
    Corrupt(String),
}

impl StoreError {
    /// Whether trying again later may help without anybody's action.
    pub fn is_retryable(&self) -> bool {
        matches!(self, StoreError::Unavailable(_) | StoreError::Full(_))
    }
}

/// A place that holds namespaces of shards of records, tombstones and an archive.
///
/// Every implementation passes the suite in `conformance`. What all of them promise:
///
/// - **Atomic steps.** [`push`](Store::push), [`commit`](Store::commit) and [`restore`](Store::restore) each happen
///   wholly or not at all, one after another per shard, for any number of callers in any number of processes. `push`
///   decides exactly as [`metrifold_session::accept`]; but one that does not know what a source's slots may hold may ask
///   for all descriptors ([`Answer::NeedDescriptors`]) where `accept` would not.
/// - **Consistent reads.** [`snapshot`](Store::snapshot) shows a shard between two commits, never within one, and
///   begins after it was called: whatever was answered before is in it.
/// - **Unknown is unknown.** [`StoreError::Unavailable`] says nothing about whether the step happened. Repeating is
///   always harmless.
/// - **Cancel safety.** Dropping a future may leave the step done or not done, never half done.
/// - No method waits longer than the time-outs that the implementation was built with.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Carries out one push in one atomic step; a namespace or shard that does not exist yet is created by it, but
    /// answers [`Answer::Sealed`] until [`Store::restore`] has opened it, unless the implementation opens it itself.
    async fn push(&self, namespace: &Namespace, push: &Push) -> Result<Answer, StoreError>;

    /// How many shards a namespace has.
    async fn shards(&self, namespace: &Namespace) -> Result<u16, StoreError>;

    /// A consistent copy of one shard, with the store's clock. A shard nobody ever used is empty and sealed or open as
    /// `push` would find it.
    async fn snapshot(
        &self,
        namespace: &Namespace,
        shard: ShardIndex,
    ) -> Result<Arc<ShardSnapshot>, StoreError>;

    /// Carries out folds and trims if nothing that they rest on has changed ([`Commit::expected_version`] and the seq
    /// of every folded record), increments the shard's counter and gives the archive a new random version.
    async fn commit(
        &self,
        namespace: &Namespace,
        shard: ShardIndex,
        commit: &Commit,
    ) -> Result<CommitOutcome, StoreError>;

    /// Advances the archive's age clock from `expected` to `age`, if it still stands at `expected`.
    async fn advance_age(
        &self,
        namespace: &Namespace,
        shard: ShardIndex,
        expected: Instant,
        age: Instant,
    ) -> Result<CommitOutcome, StoreError>;

    /// Opens a sealed shard, or replaces what another server restored less than `settle` ago by something newer:
    /// joins the contents with `memory`, the caller's last snapshot, as [`metrifold_session::restore`] says, under a
    /// new epoch. [`CommitOutcome::Conflict`] if the shard is open and settled, or holds nothing older than `memory`.
    async fn restore(
        &self,
        namespace: &Namespace,
        shard: ShardIndex,
        memory: Option<&ShardSnapshot>,
        settle: std::time::Duration,
    ) -> Result<CommitOutcome, StoreError>;

    /// The namespaces that this store holds, in order.
    async fn namespaces(&self) -> Result<Vec<Namespace>, StoreError>;

    /// Whether the store can be read and written now; the error says why not.
    async fn check(&self) -> Result<(), StoreError>;

    /// Tries again to keep what was carried out and could not be kept, as by a store whose disk was full. The error says
    /// that it still cannot be; whether the store can be used otherwise, it does not say.
    async fn catch_up(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
