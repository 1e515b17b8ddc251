//! Opening a sealed shard, or replacing one that settles by something newer.

use std::time::Duration;

use metrifold_model::{Epoch, Namespace};
use metrifold_redis::{Claim, Restore, parse_commit_reply};
use metrifold_session::{Part, ShardSnapshot, needs_restore, restore};

use super::{RedisStore, error::of_reply};
use crate::{CommitOutcome, ShardIndex, StoreError};

impl RedisStore {
    /// Closes the shard, reads it undisturbed, decides, and writes it in one step. Whoever claims it meanwhile wins.
    pub(super) async fn restore_shard(
        &self,
        namespace: &Namespace,
        shard: ShardIndex,
        memory: Option<&ShardSnapshot>,
        settle: Duration,
    ) -> Result<CommitOutcome, StoreError> {
        let (look, found) = self.read(namespace, shard).await?;
        if let Some(reason) = found.unreadable_archive() {
            return Err(StoreError::Corrupt(format!("{}: {reason}", Part::Archive)));
        }
        if !needs_restore(&found, memory, settle) {
            return Ok(CommitOutcome::Conflict);
        }
        let token = rand::random();
        let claim = Claim::call(namespace, shard.0, &look, token, self.settings.shards);
        if !self.compare_and_set(&claim).await? {
            return Ok(CommitOutcome::Conflict);
        }
        let (claimed, mut before) = self.read(namespace, shard).await?;
        // Closed only by a claim, this one or an abandoned one: what it holds is as fresh as in an open shard.
        before.head.sealed = !claimed.is_claimed;
        let mut after = restore(&before, memory, Epoch(rand::random::<u64>().max(1)), before.now);
        after.head.version = rand::random();
        let write = Restore { before: &before, after: &after, token };
        match self.compare_and_set(&write.call(namespace, shard.0, self.push_settings())).await? {
            true => Ok(CommitOutcome::Committed),
            false => Ok(CommitOutcome::Conflict),
        }
    }

    pub(super) async fn compare_and_set(
        &self,
        call: &metrifold_redis::ScriptCall,
    ) -> Result<bool, StoreError> {
        let reply = self.connection.run_long(call).await?;
        parse_commit_reply(&reply).map_err(of_reply)
    }
}
