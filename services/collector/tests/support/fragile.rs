//! A store that loses its contents, or fails, when a test wants it to.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use metrifold_model::{Epoch, Namespace};
use metrifold_session::{
    Answer, Commit, Instant, Push, ShardHead, ShardSnapshot, Verdict, accept, needs_restore, restore,
};
use metrifold_store::{CommitOutcome, ShardIndex, Store, StoreError};
use tokio::sync::Mutex;

/// One shard in memory, carried out by the project's own decisions.
pub(crate) struct Fragile {
    shard: Mutex<ShardSnapshot>,
    started: std::time::Instant,
    /// Every call fails as if the store could not be reached.
    pub(crate) fails: AtomicBool,
    /// The next commit is the last thing that happens before everything is lost.
    pub(crate) loses_all_after_commit: AtomicBool,
    /// The next commit is carried out and cannot be kept, as by an embedded store whose disk is full.
    pub(crate) cannot_keep: AtomicBool,
    /// Something was carried out and is not kept, until [`Store::catch_up`] tries again.
    pub(crate) is_behind: AtomicBool,
}

impl Fragile {
    /// A store whose shard nobody has opened yet.
    pub(crate) fn sealed() -> Arc<Fragile> {
        let shard = Mutex::new(sealed());
        Arc::new(Fragile {
            shard,
            started: std::time::Instant::now(),
            fails: AtomicBool::new(false),
            loses_all_after_commit: AtomicBool::new(false),
            cannot_keep: AtomicBool::new(false),
            is_behind: AtomicBool::new(false),
        })
    }

    /// Everything is gone, as after a restart without a snapshot.
    pub(crate) async fn lose(&self) {
        *self.shard.lock().await = sealed();
    }

    fn now(&self) -> Instant {
        Instant::default() + self.started.elapsed()
    }

    fn check_fails(&self) -> Result<(), StoreError> {
        match self.fails.load(Ordering::Relaxed) {
            true => Err(StoreError::Unavailable("the test wants it so".into())),
            false => Ok(()),
        }
    }
}

fn sealed() -> ShardSnapshot {
    let head = ShardHead { sealed: true, ..ShardHead::default() };
    ShardSnapshot { head, ..ShardSnapshot::default() }
}

fn outcome(is_done: bool) -> CommitOutcome {
    if is_done { CommitOutcome::Committed } else { CommitOutcome::Conflict }
}

#[async_trait]
impl Store for Fragile {
    async fn push(&self, _: &Namespace, push: &Push) -> Result<Answer, StoreError> {
        self.check_fails()?;
        let mut shard = self.shard.lock().await;
        let record = shard.records.get(&push.incarnation).map(Arc::as_ref);
        let tombstone = shard.tombstones.get(&push.incarnation).map(Arc::as_ref);
        match accept(&shard.head, record, tombstone, push, self.now()) {
            Verdict::Reply(answer) => Ok(answer),
            Verdict::Write { record, answer } => {
                shard.records.insert(push.incarnation, Arc::new(*record));
                Ok(answer)
            }
        }
    }

    async fn shards(&self, _: &Namespace) -> Result<u16, StoreError> {
        self.check_fails().map(|()| 1)
    }

    async fn snapshot(&self, _: &Namespace, _: ShardIndex) -> Result<Arc<ShardSnapshot>, StoreError> {
        self.check_fails()?;
        Ok(Arc::new(ShardSnapshot { now: self.now(), ..self.shard.lock().await.clone() }))
    }

    async fn commit(
        &self,
        _: &Namespace,
        _: ShardIndex,
        commit: &Commit,
    ) -> Result<CommitOutcome, StoreError> {
        self.check_fails()?;
        let mut shard = self.shard.lock().await;
        let version = shard.head.version + 1;
        let is_done = commit.apply(&mut shard, version);
        if self.loses_all_after_commit.swap(false, Ordering::Relaxed) {
            *shard = sealed();
        }
        if self.cannot_keep.swap(false, Ordering::Relaxed) {
            self.is_behind.store(true, Ordering::Relaxed);
            return Err(StoreError::Unavailable("the disk is full".into()));
        }
        Ok(outcome(is_done))
    }

    async fn advance_age(
        &self,
        _: &Namespace,
        _: ShardIndex,
        expected: Instant,
        age: Instant,
    ) -> Result<CommitOutcome, StoreError> {
        self.check_fails()?;
        let head = &mut self.shard.lock().await.head;
        let is_expected = head.age == expected;
        if is_expected {
            head.age = age;
        }
        Ok(outcome(is_expected))
    }

    async fn restore(
        &self,
        _: &Namespace,
        _: ShardIndex,
        memory: Option<&ShardSnapshot>,
        settle: Duration,
    ) -> Result<CommitOutcome, StoreError> {
        self.check_fails()?;
        let mut shard = self.shard.lock().await;
        let now = self.now();
        let found = ShardSnapshot { now, ..shard.clone() };
        if !needs_restore(&found, memory, settle) {
            return Ok(CommitOutcome::Conflict);
        }
        // Numbers that never repeat serve as well as random ones.
        let epoch = Epoch(self.started.elapsed().as_nanos() as u64 | 1);
        *shard = restore(&found, memory, epoch, now);
        shard.head.version = epoch.0;
        Ok(CommitOutcome::Committed)
    }

    async fn namespaces(&self) -> Result<Vec<Namespace>, StoreError> {
        self.check_fails().map(|()| vec![Namespace::default()])
    }

    /// Says nothing of whether the shard can be tended: a Redis that is full refuses here.
    async fn check(&self) -> Result<(), StoreError> {
        Err(StoreError::Refused("it is full".into()))
    }

    async fn catch_up(&self) -> Result<(), StoreError> {
        self.check_fails()?;
        self.is_behind.store(false, Ordering::Relaxed);
        Ok(())
    }
}
