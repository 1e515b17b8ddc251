//! One shard in memory. Every method is one atomic step under the shard's lock.

use std::{sync::Arc, time::Duration};

use metrifold_model::{Epoch, Incarnation};
use metrifold_session::{
    Answer, Commit, Instant, Push, Record, Refusal, ShardHead, ShardSnapshot, Verdict, accept, restore,
};

use crate::CommitOutcome;

/// A shard's contents. The snapshot's `now` is not kept up to date; readers set it.
#[derive(Debug)]
pub(super) struct Shard {
    contents: ShardSnapshot,
    sources_max: usize,
}

impl Shard {
    /// An empty shard, open under `epoch`.
    pub(super) fn open(epoch: Epoch, version: u64, sources_max: usize) -> Self {
        let head = ShardHead { version, ..ShardHead::open(epoch) };
        Shard { contents: ShardSnapshot { head, ..ShardSnapshot::default() }, sources_max }
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

    /// Carries out a commit that [fits](Shard::fits).
    pub(super) fn commit(&mut self, commit: &Commit, version: u64) {
        self.contents.archive = Arc::new(commit.archive.clone());
        for incarnation in &commit.trimmed {
            self.contents.tombstones.remove(incarnation);
        }
        for (incarnation, _, tombstone) in &commit.folded {
            self.contents.records.remove(incarnation);
            self.contents.tombstones.insert(*incarnation, tombstone.clone());
        }
        self.contents.head.counter += 1;
        self.contents.head.version = version;
    }

    pub(super) fn advance_age(&mut self, expected: Instant, age: Instant) -> CommitOutcome {
        if self.contents.head.age != expected {
            return CommitOutcome::Conflict;
        }
        self.contents.head.age = age;
        CommitOutcome::Committed
    }

    /// Joins the contents with something newer that another server holds, while nothing has settled yet.
    pub(super) fn restore(
        &mut self,
        memory: Option<&ShardSnapshot>,
        (epoch, version): (Epoch, u64),
        now: Instant,
        settle: Duration,
    ) -> CommitOutcome {
        let head = &self.contents.head;
        let is_newer = memory.is_some_and(|memory| memory.head.counter > head.counter);
        if !head.sealed && (head.is_settled(now, settle) || !is_newer) {
            return CommitOutcome::Conflict;
        }
        self.contents = restore(&self.contents, memory, epoch, now);
        self.contents.head.version = version;
        CommitOutcome::Committed
    }

    pub(super) fn snapshot(&self, now: Instant) -> ShardSnapshot {
        ShardSnapshot { now, ..self.contents.clone() }
    }
}
