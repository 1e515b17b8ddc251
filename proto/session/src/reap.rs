//! Which sources are dead, what a fold and a trim do about them.

use std::{sync::Arc, time::Duration};

use metrifold_model::{DescriptorList, Incarnation, LabelNames, MergeMode, Seq, Values, Worker};

use crate::{Archive, ArchivePolicy, Instant, Part, Record, ShardHead, ShardSnapshot, Tombstone};

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
    /// Records to drop that cannot be read, whatever they are by now.
    pub discarded: Vec<Incarnation>,
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
        let is_left = |part: &Part| match part {
            Part::Record(source) => !self.discarded.contains(source),
            Part::Tombstone(source) => !self.trimmed.contains(source),
            Part::Archive => false,
        };
        shard.unreadable.retain(|part, _| is_left(part));
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
    let (mut dead, mut old) = (dead.peekable(), old.peekable());
    let is_idle = dead.peek().is_none() && old.peek().is_none();
    if is_idle || snapshot.unreadable_archive().is_some() {
        return None;
    }
    let mut archive = Archive::clone(&snapshot.archive);
    let mut room = policy.bytes_max.saturating_sub(archive.bytes());
    let mut trimmed = Vec::new();
    for (incarnation, tombstone) in old {
        // A living record carries its own gauges and its own base; the tombstone adds nothing to it.
        if !snapshot.records.contains_key(incarnation) {
            if !takes(&archive, &mut room, &tombstone.descriptors, &tombstone.worker, policy) {
                continue;
            }
            archive.take_gauges(tombstone, policy);
        }
        trimmed.push(*incarnation);
    }
    let mut folded = Vec::new();
    for (incarnation, record) in dead {
        // Where there is no room it stays a record, and is counted as one.
        if !takes(&archive, &mut room, &record.descriptors, &record.worker, policy) {
            continue;
        }
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
    let expected_version = snapshot.head.version;
    is_due.then_some(Commit { expected_version, archive, folded, trimmed, discarded: Vec::new() })
}

/// Whether the archive has room for a source's series; takes it, if so.
fn takes(
    archive: &Archive,
    room: &mut usize,
    descriptors: &DescriptorList,
    worker: &Worker,
    policy: &ArchivePolicy,
) -> bool {
    let left = room.checked_sub(archive.bytes_for(descriptors, worker, policy));
    left.inspect(|left| *room = *left).is_some()
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
    use metrifold_model::{Descriptor, Epoch, Kind, Labels};

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

    /// What is not folded is counted all the same, and what is in the archive already needs no more room.
    #[test]
    fn a_source_whose_series_find_no_room_in_the_archive_stays_a_record() {
        let record = |name: &str, value| {
            let labels = Labels::new([("path", "x".repeat(500))]);
            let descriptor = Descriptor::new(Kind::Counter, name, format!("{name}_total"), labels, "");
            Arc::new(Record {
                descriptors: [descriptor].into_iter().collect(),
                values: Values::from_slots(vec![value]),
                ended: true,
                ..Record::heard_of(Instant(0))
            })
        };
        let mut shard = ShardSnapshot { head: ShardHead::open(Epoch(1)), ..ShardSnapshot::default() };
        shard.records = [(1, "a", 1.0), (2, "a", 2.0), (3, "b", 3.0)]
            .map(|(source, name, value)| (Incarnation(source), record(name, value)))
            .into();
        let archive = ArchivePolicy { bytes_max: 1_000, ..ArchivePolicy::default() };
        let policy = ReapPolicy { archive, batch_max: 1, ..ReapPolicy::default() };
        let roomy = ReapPolicy::default();
        for _ in 0..2 {
            assert!(reap(&shard, &policy).expect("there is room for a").apply(&mut shard, 1));
        }
        let left: Vec<_> = shard.records.keys().copied().collect();
        assert_eq!((left, shard.archive.series.len()), (vec![Incarnation(3)], 1));
        assert_eq!(reap(&shard, &policy), None);
        assert!(reap(&shard, &roomy).expect("there is room").apply(&mut shard, 2));
        assert_eq!((shard.records.len(), shard.archive.series.len()), (0, 2));
    }

    /// What others wrote into the store past every door.
    #[test]
    fn what_no_door_takes_is_not_folded() {
        let counter = Descriptor::new(Kind::Counter, "c", "c_total", Labels::default(), "");
        let mut shard = ShardSnapshot { head: ShardHead::open(Epoch(1)), ..ShardSnapshot::default() };
        for (source, value) in (1..).zip([5.0, f64::NAN, -1e9, f64::INFINITY, 2.0]) {
            let record = Record {
                descriptors: [counter.clone()].into_iter().collect(),
                values: Values::from_slots(vec![value]),
                ended: true,
                ..Record::heard_of(Instant(0))
            };
            shard.records.insert(Incarnation(source), Arc::new(record));
        }
        assert!(reap(&shard, &ReapPolicy::default()).expect("all ended").apply(&mut shard, 1));
        let archived: Vec<_> = shard.archive.series.values().map(|series| series.value.value()).collect();
        assert_eq!((archived, shard.records.len()), (vec![7.0], 0));
    }

    #[test]
    fn nothing_is_changed_while_the_archive_cannot_be_read_but_a_wipe() {
        let mut shard = ShardSnapshot { head: ShardHead::open(Epoch(1)), ..ShardSnapshot::default() };
        let ended = Record { ended: true, ..Record::heard_of(Instant(0)) };
        shard.records.insert(Incarnation(1), Arc::new(ended));
        for part in [Part::Archive, Part::Record(Incarnation(2)), Part::Tombstone(Incarnation(3))] {
            shard.unreadable.insert(part, "damaged".into());
        }
        assert_eq!(reap(&shard, &ReapPolicy::default()), None);
        let wipe = crate::wipe(&shard);
        assert_eq!((&wipe.discarded, &wipe.trimmed), (&vec![Incarnation(2)], &vec![Incarnation(3)]));
        assert!(wipe.apply(&mut shard, 1) && shard.unreadable.is_empty());
        assert!(reap(&shard, &ReapPolicy::default()).is_some());
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
