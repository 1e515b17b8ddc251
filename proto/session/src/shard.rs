//! What a store holds: one shard's head, records, tombstones and archive.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use metrifold_model::{DescriptorList, Epoch, Incarnation, Seq, Values, Worker};

use crate::{Archive, Instant};

/// A live source in the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// The last push that was stored.
    pub seq: Seq,
    /// The epoch in which that push arrived.
    pub epoch: Epoch,
    /// When it arrived, on the store's clock.
    pub seen: Instant,
    /// Which process it is.
    pub worker: Arc<Worker>,
    /// What the slots mean.
    pub descriptors: DescriptorList,
    /// The values; empty while only the first push has come.
    pub values: Values,
    /// The part of the values that the archive already contains; missing slots are 0.
    pub base: Values,
    /// The source has said that it ended.
    pub ended: bool,
}

#[cfg(test)]
impl Record {
    /// One push of nothing, in epoch 1.
    pub(crate) fn heard_of(seen: Instant) -> Record {
        Record {
            seq: Seq(1),
            epoch: Epoch(1),
            seen,
            worker: Arc::default(),
            descriptors: DescriptorList::default(),
            values: Values::default(),
            base: Values::default(),
            ended: false,
        }
    }
}

/// A folded source, kept for one tombstone lifetime so that it can come back without being counted twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tombstone {
    /// The last push that was folded.
    pub seq: Seq,
    /// The archive's age clock at the fold.
    pub folded: Instant,
    /// Which process it was.
    pub worker: Arc<Worker>,
    /// What the slots mean; of an ended source only its gauges are kept.
    pub descriptors: DescriptorList,
    /// The values at the fold.
    pub values: Values,
    /// The source ended; it will not come back.
    pub ended: bool,
}

/// What a shard is in: everything but its sources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ShardHead {
    /// Random id of the contents; none before the shard was first opened.
    pub epoch: Option<Epoch>,
    /// Closed for pushes, folds and trims until a server role has restored it.
    pub sealed: bool,
    /// When it was opened, restored or sealed, on the store's clock.
    pub changed: Instant,
    /// Nothing is folded or trimmed for this long after `changed`.
    pub settling: bool,
    /// Counts folds and trims: of two copies of one shard, the one with the higher counter is newer.
    pub counter: u64,
    /// Random id of the archive's contents, changed by every fold and trim.
    pub version: u64,
    /// Milliseconds that servers have watched this archive: the clock by which tombstones age.
    pub age: Instant,
}

impl ShardHead {
    /// The head of a shard that is open, empty and settled.
    pub fn open(epoch: Epoch) -> Self {
        ShardHead { epoch: Some(epoch), ..ShardHead::default() }
    }

    /// Whether folds and trims may happen at `now`, `settle` being the time that other servers are given to bring
    /// something newer. A clock that was set back by more than that ends it too.
    pub fn is_settled(&self, now: Instant, settle: Duration) -> bool {
        !self.sealed && self.epoch.is_some() && (!self.settling || now.apart(self.changed) >= settle)
    }
}

/// A part of a shard that may turn out to be unreadable: damaged, of a newer format, or of another program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// A live source's record.
    Record(Incarnation),
    /// A folded source's tombstone.
    Tombstone(Incarnation),
    /// The folded sums.
    Archive,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Part::Record(source) => write!(f, "the record of source {source}"),
            Part::Tombstone(source) => write!(f, "the tombstone of source {source}"),
            Part::Archive => write!(f, "the archive"),
        }
    }
}

/// A consistent copy of one shard: no fold or trim lies between its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ShardSnapshot {
    /// The shard's head.
    pub head: ShardHead,
    /// The store's clock at the read.
    pub now: Instant,
    /// The folded sums.
    pub archive: Arc<Archive>,
    /// Live sources.
    pub records: BTreeMap<Incarnation, Arc<Record>>,
    /// Folded sources.
    pub tombstones: BTreeMap<Incarnation, Arc<Tombstone>>,
    /// What cannot be read, and why. It stays where it is, until it is wiped, and everything else goes on; but without its
    /// archive a shard is neither shown nor changed.
    pub unreadable: BTreeMap<Part, Arc<str>>,
}

impl ShardSnapshot {
    /// Why the archive cannot be read, if so.
    pub fn unreadable_archive(&self) -> Option<&str> {
        self.unreadable.get(&Part::Archive).map(AsRef::as_ref)
    }
}
