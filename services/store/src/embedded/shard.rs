//! One shard in memory. Every method is one atomic step under the shard's lock.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use metrifold_model::{DescriptorList, Epoch, Incarnation, Seq, Values};
use metrifold_session::{
    Answer, Commit, Instant, Part, Push, Record, Refusal, ShardHead, ShardSnapshot, Tombstone, Verdict,
    accept, restore,
};

use super::disk::{Change, Ended, Head, Left, Whole};
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
        let tombstones = left.tombstones.into_iter();
        shard.contents.tombstones = tombstones.map(|(incarnation, of)| (incarnation, Arc::new(of))).collect();
        let ended = left.ended.into_iter();
        shard.contents.records = ended.map(|of| (of.incarnation, Arc::new(of.record(epoch, now)))).collect();
        for part in left.unreadable.keys() {
            if let Part::Record(source) | Part::Tombstone(source) = part {
                // What it counted before cannot be told from what it counts now, so nothing is taken.
                shard.contents.tombstones.insert(*source, Arc::new(lost(left.age)));
            }
        }
        shard.contents.unreadable = left.unreadable;
        shard.missing = left.live;
        shard
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

    /// Stores a record; returns what has to be written of it, if anything has: that there is such a source, and the last
    /// values of one that has ended.
    pub(super) fn write(&mut self, incarnation: Incarnation, record: Record) -> Option<Change> {
        // The first push after a restart only says hello; the values are what the view waits for.
        if !record.values.slots.is_empty() && self.missing.remove(&incarnation) && self.missing.is_empty() {
            self.contents.head.settling = false;
        }
        let record = Arc::new(record);
        let former = self.contents.records.insert(incarnation, Arc::clone(&record));
        let is_news = former.is_none() || record.ended;
        is_news.then(|| Change::Source { head: Head::of(&self.contents.head), incarnation, record })
    }

    /// Carries a commit out if what it rests on has not changed; returns what has to be written of it.
    pub(super) fn commit(&mut self, commit: &Commit, version: u64) -> Option<Change> {
        if !commit.apply(&mut self.contents, version) {
            return None;
        }
        // Whoever commits has waited long enough for those that are missing. They may still come back; but a later start
        // is not to wait for them again.
        self.contents.head.settling = false;
        let mut missing = std::mem::take(&mut self.missing);
        missing.retain(|incarnation| !self.contents.records.contains_key(incarnation));
        let base = |incarnation| self.contents.tombstones.get(&incarnation).cloned();
        Some(Change::Commit {
            head: Head::of(&self.contents.head),
            archive: Arc::clone(&self.contents.archive),
            folded: commit.folded.iter().map(|(incarnation, _, of)| (*incarnation, Arc::clone(of))).collect(),
            trimmed: commit.trimmed.clone(),
            discarded: commit.discarded.clone(),
            missing: missing.into_iter().map(|incarnation| (incarnation, base(incarnation))).collect(),
        })
    }

    /// Everything that is to be on disk.
    pub(super) fn whole(&self) -> Change {
        Change::Whole(Box::new(Whole { contents: self.contents.clone(), missing: self.missing.clone() }))
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

/// Whatever comes of a source with this tombstone is acknowledged, and counts nothing.
fn lost(age: Instant) -> Tombstone {
    Tombstone {
        seq: Seq(0),
        folded: age,
        worker: Arc::default(),
        descriptors: DescriptorList::default(),
        values: Values::default(),
        ended: true,
    }
}

impl Ended {
    /// As it stood in the shard, in its new epoch.
    fn record(self, epoch: Epoch, now: Instant) -> Record {
        let Tombstone { seq, worker, descriptors, values, .. } = self.last;
        Record { seq, epoch, seen: now, worker, descriptors, values, base: self.base, ended: true }
    }
}
