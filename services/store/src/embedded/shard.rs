//! One shard in memory. Every method is one atomic step under the shard's lock.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use metrifold_model::{Epoch, Incarnation};
use metrifold_session::{
    Answer, Commit, Instant, Push, Record, Refusal, ShardHead, ShardSnapshot, Verdict, accept, restore,
};

use super::disk::Left;
use crate::CommitOutcome;

/// A shard's contents. The snapshot's `now` is not kept up to date; readers set it.
pub(super) struct Shard {
    contents: ShardSnapshot,
    /// Sources that were live when the data directory was left, and have not pushed since. The shard settles when there
    /// is none left (or after `store.settle`): until then a view would lack what they had counted.
    missing: BTreeSet<Incarnation>,
    sources_max: usize,
}

impl Shard {
    /// An empty shard, open under `epoch`.
    pub(super) fn open(epoch: Epoch, version: u64, sources_max: usize) -> Self {
        let head = ShardHead { version, ..ShardHead::open(epoch) };
        let contents = ShardSnapshot { head, ..ShardSnapshot::default() };
        Shard { contents, missing: BTreeSet::new(), sources_max }
    }

    /// A shard that goes on from what was left, under a new epoch: pushers are asked for their values again.
    pub(super) fn reopen(left: Left, epoch: Epoch, version: u64, now: Instant, sources_max: usize) -> Self {
        let mut shard = Shard::open(epoch, version, sources_max);
        shard.contents.head.counter = left.counter;
        shard.contents.head.age = left.age;
        shard.contents.head.changed = now;
        shard.contents.head.settling = !left.live.is_empty();
        shard.contents.archive = Arc::new(left.archive);
        shard.contents.tombstones = left
            .tombstones
            .into_iter()
            .map(|(incarnation, tombstone)| (incarnation, Arc::new(tombstone)))
            .collect();
        shard.missing = left.live.into_iter().collect();
        shard
    }

    pub(super) fn head(&self) -> &ShardHead {
        &self.contents.head
    }

    /// Decides about a push without carrying it out.
    pub(super) fn decide(&self, push: &Push, now: Instant) -> Verdict {
        let record = self.contents.records.get(&push.incarnation).map(Arc::as_ref);
        let tombstone = self.contents.tombstones.get(&push.incarnation).map(Arc::as_ref);
        let verdict = accept(&self.contents.head, record, tombstone, push, now);
        let sources = self.contents.records.len() + self.contents.tombstones.len();
        match verdict {
            Verdict::Write { .. }
                if record.is_none() && tombstone.is_none() && sources >= self.sources_max =>
            {
                Verdict::Reply(Answer::Refused(Refusal::TooManySources))
            }
            verdict => verdict,
        }
    }

    /// Whether a source has a record.
    pub(super) fn has_record(&self, incarnation: Incarnation) -> bool {
        self.contents.records.contains_key(&incarnation)
    }

    pub(super) fn write(&mut self, incarnation: Incarnation, record: Record) {
        // The first push after a restart only says hello; the values are what the view waits for.
        if !record.values.slots.is_empty() && self.missing.remove(&incarnation) && self.missing.is_empty() {
            self.contents.head.settling = false;
        }
        self.contents.records.insert(incarnation, Arc::new(record));
    }

    /// Whether a commit rests on what the shard still holds.
    pub(super) fn fits(&self, commit: &Commit) -> bool {
        let is_unchanged = |incarnation: &Incarnation, seq| {
            self.contents.records.get(incarnation).is_some_and(|record| record.seq == seq)
        };
        !self.contents.head.sealed
            && commit.expected_version == self.contents.head.version
            && commit.folded.iter().all(|(incarnation, seq, _)| is_unchanged(incarnation, *seq))
    }

    /// The head after a commit that [fits](Shard::fits).
    pub(super) fn head_after(&self, version: u64) -> ShardHead {
        ShardHead { counter: self.contents.head.counter + 1, version, ..self.contents.head.clone() }
    }

    /// Carries out a commit that [fits](Shard::fits).
    pub(super) fn commit(&mut self, commit: &Commit, head: ShardHead) {
        self.contents.archive = Arc::new(commit.archive.clone());
        for incarnation in &commit.trimmed {
            self.contents.tombstones.remove(incarnation);
        }
        for (incarnation, _, tombstone) in &commit.folded {
            self.contents.records.remove(incarnation);
            self.contents.tombstones.insert(*incarnation, tombstone.clone());
        }
        self.contents.head = head;
    }

    pub(super) fn advance_age(&mut self, expected: Instant, age: Instant) -> CommitOutcome {
        if self.contents.head.age != expected {
            return CommitOutcome::Conflict;
        }
        self.contents.head.age = age;
        CommitOutcome::Committed
    }

    /// The contents joined with something newer that another server holds, if nothing has settled yet.
    pub(super) fn restored(
        &self,
        memory: Option<&ShardSnapshot>,
        (epoch, version): (Epoch, u64),
        now: Instant,
        settle: Duration,
    ) -> Option<ShardSnapshot> {
        let head = &self.contents.head;
        let is_newer = memory.is_some_and(|memory| memory.head.counter > head.counter);
        if !head.sealed && (head.is_settled(now, settle) || !is_newer) {
            return None;
        }
        let mut restored = restore(&self.contents, memory, epoch, now);
        restored.head.version = version;
        Some(restored)
    }

    pub(super) fn replace(&mut self, contents: ShardSnapshot) {
        self.contents = contents;
    }

    pub(super) fn snapshot(&self, now: Instant) -> ShardSnapshot {
        ShardSnapshot { now, ..self.contents.clone() }
    }
}
