//! Which sources are dead, what a fold and a trim do about them.

use std::{sync::Arc, time::Duration};

use metrifold_model::{DescriptorList, Incarnation, LabelNames, MergeMode, Seq, Values};

use crate::{Archive, ArchivePolicy, Instant, Record, ShardHead, ShardSnapshot, Tombstone};

/// When sources count as dead and when tombstones go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReapPolicy {
    /// Time after the last push at which a source counts as dead; `None`: only explicit ends count. Default 300 s.
    pub ttl: Option<Duration>,
    /// How long a tombstone is kept, on the archive's age clock. Default 24 h.
    pub tombstone_lifetime: Duration,
    /// How long after a restore nothing is folded or trimmed. Default 3 s.
    pub settle: Duration,
    /// Most sources folded or trimmed in one commit, to bound the size of one atomic step.
    pub batch_max: usize,
    /// What is kept of a source.
    pub archive: ArchivePolicy,
}

impl Default for ReapPolicy {
    fn default() -> Self {
        ReapPolicy {
            ttl: Some(Duration::from_secs(300)),
            tombstone_lifetime: Duration::from_secs(24 * 3600),
            settle: Duration::from_secs(3),
            batch_max: 256,
            archive: ArchivePolicy::default(),
        }
    }
}

/// One atomic change of a shard: folds and trims. It may be carried out only if the archive's version and the seq of
/// every record in `folded` still are what the reaper read, else nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Commit {
    /// The archive's version that was read.
    pub expected_version: u64,
    /// The archive afterwards.
    pub archive: Archive,
    /// Records to replace by tombstones, each only at this seq.
    pub folded: Vec<(Incarnation, Seq, Arc<Tombstone>)>,
    /// Tombstones to drop.
    pub trimmed: Vec<Incarnation>,
}

impl Commit {
    /// Whether the commit may be carried out on a shard with this head; `seq_of` gives the number of a record now.
    ///
    /// Sealed contents may be older than they look: the same version, but with pushes lost since.
    pub fn is_current(&self, head: &ShardHead, seq_of: impl Fn(Incarnation) -> Option<Seq>) -> bool {
        !head.sealed
            && head.epoch.is_some()
            && head.version == self.expected_version
            && self.folded.iter().all(|(incarnation, seq, _)| seq_of(*incarnation) == Some(*seq))
    }

    /// Carries the commit out on `shard` if it [is current](Commit::is_current), giving its archive the random
    /// `version`; says whether it was.
    pub fn apply(&self, shard: &mut ShardSnapshot, version: u64) -> bool {
        if !self
            .is_current(&shard.head, |incarnation| shard.records.get(&incarnation).map(|record| record.seq))
        {
            return false;
        }
        for incarnation in &self.trimmed {
            shard.tombstones.remove(incarnation);
        }
        for (incarnation, _, tombstone) in &self.folded {
            shard.records.remove(incarnation);
            shard.tombstones.insert(*incarnation, tombstone.clone());
        }
        shard.archive = Arc::new(self.archive.clone());
        shard.head.counter += 1;
        shard.head.version = version;
        true
    }
}

/// Whether a record's source is dead: it said so, or was not heard of for the time to live. A source that was last heard
/// of as far ahead of `now` was not heard of since the store's clock was set back; the living push within an interval.
pub fn is_dead(record: &Record, now: Instant, ttl: Option<Duration>) -> bool {
    record.ended || ttl.is_some_and(|ttl| now.apart(record.seen) > ttl)
}

/// What is due in a shard; `None` if nothing is, or nothing may be changed now.
pub fn reap(snapshot: &ShardSnapshot, policy: &ReapPolicy) -> Option<Commit> {
    if !snapshot.head.is_settled(snapshot.now, policy.settle) {
        return None;
    }
    let dead = snapshot.records.iter().filter(|(_, record)| is_dead(record, snapshot.now, policy.ttl));
    let old = snapshot
        .tombstones
        .iter()
        .filter(|(_, tomb)| snapshot.head.age.since(tomb.folded) > policy.tombstone_lifetime);
    let (dead, old) = (dead.take(policy.batch_max), old.take(policy.batch_max));
    change(snapshot, dead, old, &policy.archive)
}

/// Folds `dead` and trims `old`; `None` if both are empty.
pub(crate) fn change<'a>(
    snapshot: &ShardSnapshot,
    dead: impl Iterator<Item = (&'a Incarnation, &'a Arc<Record>)>,
    old: impl Iterator<Item = (&'a Incarnation, &'a Arc<Tombstone>)>,
    policy: &ArchivePolicy,
) -> Option<Commit> {
    let mut archive = Archive::clone(&snapshot.archive);
    let mut trimmed = Vec::new();
    for (incarnation, tombstone) in old {
        // A living record carries its own gauges and its own base; the tombstone adds nothing to it.
        if !snapshot.records.contains_key(incarnation) {
            archive.take_gauges(tombstone, policy);
        }
        trimmed.push(*incarnation);
    }
    let mut folded = Vec::new();
    for (incarnation, record) in dead {
        archive.fold(record, policy);
        folded.push((
            *incarnation,
            record.seq,
            Arc::new(entomb(record, snapshot.head.age, &policy.per_worker_labels)),
        ));
    }
    // A source that is folded now gets a new tombstone; its old one must not be dropped after that.
    trimmed.retain(|incarnation| !folded.iter().any(|(other, ..)| other == incarnation));
    let is_due = !(folded.is_empty() && trimmed.is_empty());
    is_due.then_some(Commit { expected_version: snapshot.head.version, archive, folded, trimmed })
}

fn entomb(record: &Record, age: Instant, per_worker: &LabelNames) -> Tombstone {
    let (descriptors, values) = match record.ended {
        true => remaining_gauges(record, per_worker),
        // A source that only said hello has counted nothing: what the archive contains of it is its base.
        false if record.values.slots.is_empty() => (record.descriptors.clone(), record.base.clone()),
        false => (record.descriptors.clone(), record.values.clone()),
    };
    Tombstone {
        seq: record.seq,
        folded: age,
        worker: record.worker.clone(),
        descriptors,
        values,
        ended: record.ended,
    }
}

/// An ended source never comes back, so only the gauges that outlive it are kept; nothing is shown of them but the value.
fn remaining_gauges(record: &Record, per_worker: &LabelNames) -> (DescriptorList, Values) {
    let mut descriptors = DescriptorList::default();
    let mut values = Values::default();
    let mut timestamps = record.values.timestamps.iter().copied();
    for (index, descriptor) in record.descriptors.entries().iter().enumerate() {
        let timestamp = if descriptor.kind.is_timestamped() { timestamps.next() } else { None };
        let is_kept = descriptor.kind.merge_mode() != MergeMode::Sum
            && !descriptor.ends_with_worker(per_worker)
            && !record.values.annotations.is_removed(index)
            && index < record.values.slots.len();
        if is_kept {
            descriptors.push(descriptor.clone());
            values.slots.push(record.values.slot(index));
            values.timestamps.extend(timestamp);
        }
    }
    (descriptors, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumps_either_way_finds_the_silent_dead_and_the_living_alive() {
        let ttl = Duration::from_secs(300);
        let now = Instant(10_000_000);
        for (seen, is_silent) in [
            (now.0, false),
            (now.0 - 300_000, false),
            (now.0 - 300_001, true),
            (now.0 + 300_000, false),
            (now.0 + 300_001, true),
        ] {
            let record = Record::heard_of(Instant(seen));
            assert_eq!(is_dead(&record, now, Some(ttl)), is_silent, "seen at {seen}");
            assert!(!is_dead(&record, now, None));
        }
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_keep_a_shard_settling() {
        let head = ShardHead {
            settling: true,
            changed: Instant(10_000_000),
            ..ShardHead::open(metrifold_model::Epoch(1))
        };
        let settle = Duration::from_secs(3);
        assert!(!head.is_settled(Instant(10_002_999), settle));
        assert!(head.is_settled(Instant(10_003_000), settle));
        assert!(head.is_settled(Instant(6_400_000), settle));
    }
}
