//! What a store has folded, asked for sources that must not be forgotten before.

use std::{collections::HashSet, sync::Arc, time::Duration};

use metrifold_model::{Incarnation, Namespace};
use metrifold_session::Instant;
use metrifold_store::{ShardIndex, Store, StoreError};

/// How often a store is asked what it has folded.
const QUESTION_INTERVAL: Duration = Duration::from_millis(500);

/// When a directory may ask its store: one question at a time, and not too often.
#[derive(Default)]
pub(super) struct Asking {
    last: Option<Instant>,
    is_under_way: bool,
}

impl Asking {
    pub(super) fn is_due(&self, now: Instant) -> bool {
        !self.is_under_way && self.last.is_none_or(|last| now.since(last) >= QUESTION_INTERVAL)
    }

    pub(super) fn begin(&mut self, now: Instant) {
        *self = Asking { last: Some(now), is_under_way: true };
    }

    pub(super) fn end(&mut self) {
        self.is_under_way = false;
    }
}

/// Which of some ended sources are safe in the archive.
pub(super) struct FoldQuestion {
    pub(super) store: Arc<dyn Store>,
    pub(super) namespace: Namespace,
    pub(super) ended: Vec<Incarnation>,
}

/// Sources that are in neither set are waiting to be folded.
#[derive(Default)]
pub(super) struct FoldAnswer {
    /// In the archive, with a tombstone that says so.
    pub(super) folded: HashSet<Incarnation>,
    /// Neither in the archive for sure nor on the way there: the store has lost them.
    pub(super) unknown: HashSet<Incarnation>,
}

impl FoldQuestion {
    /// Reads the shards. A sealed one says nothing yet.
    pub(super) async fn answer(self) -> Result<FoldAnswer, StoreError> {
        let mut answer = FoldAnswer::default();
        let mut is_complete = true;
        let mut waiting = HashSet::new();
        for shard in 0..self.store.shards(&self.namespace).await? {
            let snapshot = self.store.snapshot(&self.namespace, ShardIndex(shard)).await?;
            if snapshot.head.sealed || snapshot.head.epoch.is_none() {
                is_complete = false;
                continue;
            }
            for incarnation in &self.ended {
                if snapshot.records.contains_key(incarnation) {
                    waiting.insert(*incarnation);
                } else if snapshot.tombstones.get(incarnation).is_some_and(|tombstone| tombstone.ended) {
                    answer.folded.insert(*incarnation);
                }
            }
        }
        if is_complete {
            let is_unknown = |incarnation: &&Incarnation| {
                !waiting.contains(*incarnation) && !answer.folded.contains(*incarnation)
            };
            answer.unknown = self.ended.iter().filter(is_unknown).copied().collect();
        }
        Ok(answer)
    }
}
