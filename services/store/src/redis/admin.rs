//! What only a person wants to know or do: how large sources are, and keys that nobody needs any more.

use metrifold_model::{Incarnation, Namespace};
use metrifold_redis::keys::{self, ShardKeys};

use super::RedisStore;
use crate::{ShardIndex, StoreError};

impl RedisStore {
    /// How many shards a namespace was given at its first use; `None` if nobody has used it.
    pub async fn shards_in_use(&self, namespace: &Namespace) -> Result<Option<u16>, StoreError> {
        let held = self.connection.hmget(&keys::meta(namespace), &[keys::META_SHARDS.to_owned()]).await?;
        let text = held.first().map(|held| String::from_utf8_lossy(held).into_owned()).unwrap_or_default();
        match text.as_str() {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                StoreError::Corrupt(format!("{text:?} is no number of shards of namespace {namespace}"))
            }),
        }
    }

    /// Bytes of memory that Redis spends on the record of each of these sources; 0 for one that has none.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for a user without `+memory|usage`, among others.
    pub async fn bytes(
        &self,
        namespace: &Namespace,
        shard: ShardIndex,
        sources: &[Incarnation],
    ) -> Result<Vec<u64>, StoreError> {
        let keys = ShardKeys::new(namespace, shard.0);
        let each = sources.iter().flat_map(|source| [keys.record(*source), keys.values(*source)]);
        let bytes = self.connection.memory_usage(&each.collect::<Vec<_>>()).await?;
        Ok(bytes.chunks(2).map(|parts| parts.iter().sum()).collect())
    }

    /// Deletes what a wiped namespace still has: the emptied shards, their number, its place in the index.
    ///
    /// Only where no server runs that has read it: one that remembers what was there takes the emptiness for a loss.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if there are still sources.
    pub async fn forget(&self, namespace: &Namespace) -> Result<(), StoreError> {
        let shards = self.shards_in_use(namespace).await?.unwrap_or(0);
        for shard in 0..shards {
            let (_, snapshot) = self.read(namespace, ShardIndex(shard)).await?;
            if !snapshot.records.is_empty() || !snapshot.tombstones.is_empty() {
                return Err(StoreError::Refused(format!(
                    "namespace {namespace} still has sources; stop its workers and servers, and wipe it first"
                )));
            }
        }
        for shard in 0..shards {
            let keys = ShardKeys::new(namespace, shard);
            for key in [keys.workers(), keys.tombs(), keys.folds(), keys.archive()] {
                self.connection.unlink(&key).await?;
            }
        }
        self.connection.unlink(&keys::meta(namespace)).await?;
        match self.connection.remove_member(keys::NAMESPACES, namespace.as_str()).await {
            // A user without a right to the index has not put it there either.
            Ok(()) | Err(StoreError::Refused(_)) => {}
            Err(cause) => return Err(cause),
        }
        self.forgotten(namespace);
        Ok(())
    }
}
