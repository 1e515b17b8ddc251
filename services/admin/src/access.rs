//! A namespace of a store in Redis, as a person sees it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use metrifold_model::Namespace;
use metrifold_session::{Commit, ShardSnapshot};
use metrifold_store::{CommitOutcome, RedisSettings, RedisStore, ShardIndex, Store};

use crate::{AdminError, AdminSettings};

/// Attempts to change a shard that others change too.
const ATTEMPTS: usize = 100;
/// Time between two looks at a shard that is not open yet.
const LOOK: Duration = Duration::from_millis(100);

/// An open store, and the namespace in question.
pub(crate) struct Access {
    pub(crate) store: RedisStore,
    pub(crate) namespace: Namespace,
    pub(crate) settings: AdminSettings,
    pub(crate) shards: u16,
}

impl Access {
    /// Connects, with the number of shards that the namespace has and not the one that is configured here.
    pub(crate) async fn open(settings: AdminSettings) -> Result<Access, AdminError> {
        let (namespace, redis) = (settings.namespace.clone(), settings.redis.clone());
        let store = RedisStore::connect(redis.clone())?;
        let Some(shards) = store.shards_in_use(&namespace).await? else {
            let used: Vec<_> = store.namespaces().await?.iter().map(ToString::to_string).collect();
            let used = if used.is_empty() { "none".to_owned() } else { used.join(", ") };
            return Err(AdminError::Unused { namespace, url: redis.address.to_string(), used });
        };
        let store = RedisStore::connect(RedisSettings { shards, ..redis })?;
        Ok(Access { store, namespace, settings, shards })
    }

    pub(crate) fn shards(&self) -> impl Iterator<Item = ShardIndex> {
        (0..self.shards).map(ShardIndex)
    }

    pub(crate) async fn snapshot(&self, shard: ShardIndex) -> Result<Arc<ShardSnapshot>, AdminError> {
        Ok(self.store.snapshot(&self.namespace, shard).await?)
    }

    /// The shard once it may be changed. One that nobody opens is opened after the grace that everybody else has had,
    /// as a server without a memory would.
    pub(crate) async fn settled(&self, shard: ShardIndex) -> Result<Arc<ShardSnapshot>, AdminError> {
        let (settle, grace) = (self.settings.settle, self.settings.restore_grace);
        let patience = 2 * (settle + grace) + Duration::from_secs(5);
        let began = Instant::now();
        loop {
            let snapshot = self.snapshot(shard).await?;
            if snapshot.head.is_settled(snapshot.now, settle) {
                return Ok(snapshot);
            }
            let waited = began.elapsed();
            if waited > patience {
                return Err(AdminError::Unsettled {
                    namespace: self.namespace.clone(),
                    shard: shard.0,
                    waited,
                });
            }
            let is_closed = snapshot.head.sealed || snapshot.head.epoch.is_none();
            if is_closed && waited > grace {
                self.store.restore(&self.namespace, shard, None, settle).await?;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Carries out what `decide` makes of the shard, again while others change it in between; how many were folded.
    pub(crate) async fn change(
        &self,
        shard: ShardIndex,
        decide: impl Fn(&ShardSnapshot) -> Option<Commit>,
    ) -> Result<usize, AdminError> {
        for _ in 0..ATTEMPTS {
            let snapshot = self.settled(shard).await?;
            let Some(commit) = decide(&snapshot) else { return Ok(0) };
            if self.store.commit(&self.namespace, shard, &commit).await? == CommitOutcome::Committed {
                return Ok(commit.folded.len());
            }
        }
        Err(AdminError::Busy { namespace: self.namespace.clone(), shard: shard.0 })
    }
}
