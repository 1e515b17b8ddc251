//! What a person may order: fold these sources now, and forget everything that was counted.

use std::iter;

use metrifold_model::Incarnation;

use crate::{Archive, ArchivePolicy, Commit, Part, ShardSnapshot, reap::change};

/// Folds `chosen` sources as if they were dead, whether they are or not; `None` if the shard has no record of any.
///
/// One that is alive comes back with its next push and is not counted twice. Only for a settled shard
/// ([`ShardHead::is_settled`](crate::ShardHead::is_settled)). `policy` as in
/// [`ReapPolicy::archive`](crate::ReapPolicy::archive).
pub fn retire(snapshot: &ShardSnapshot, chosen: &[Incarnation], policy: &ArchivePolicy) -> Option<Commit> {
    let records = chosen.iter().filter_map(|source| snapshot.records.get_key_value(source));
    change(snapshot, records, iter::empty(), policy)
}

/// Empties the archive and drops all tombstones. Of records only what they counted since their base stays, so whoever
/// wants nothing to stay folds them with [`retire`] first. What cannot be read goes too.
///
/// The shard keeps its epoch: a source that is still alive is told that it is forgotten, and begins anew from what it
/// had counted when it last pushed. And its counter rises, so that no server takes the emptiness for a loss and brings
/// the contents back. Only for a settled shard.
pub fn wipe(snapshot: &ShardSnapshot) -> Commit {
    let (mut trimmed, mut discarded): (Vec<_>, _) =
        (snapshot.tombstones.keys().copied().collect(), Vec::new());
    for part in snapshot.unreadable.keys() {
        match part {
            Part::Record(source) => discarded.push(*source),
            Part::Tombstone(source) => trimmed.push(*source),
            Part::Archive => {}
        }
    }
    Commit {
        expected_version: snapshot.head.version,
        archive: Archive::default(),
        folded: Vec::new(),
        trimmed,
        discarded,
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use metrifold_model::{Descriptor, DescriptorList, Epoch, Kind, Labels, Values, Worker};

    use super::*;
    use crate::{
        Answer, Instant, Pusher, PusherSettings, ShardHead, Step, Verdict, accept, needs_restore, restore,
    };

    const SOURCE: Incarnation = Incarnation(7);

    fn descriptors() -> DescriptorList {
        [Descriptor::new(Kind::Counter, "c", "c_total", Labels::default(), "")].into_iter().collect()
    }

    /// Pushes `value` until it is accepted; the incarnation that it is accepted under.
    fn push(shard: &mut ShardSnapshot, pusher: &mut Pusher, now: u64, value: f64) -> Incarnation {
        let mut now = Instant(now);
        loop {
            if let Step::Wait(until) = pusher.poll(now, Incarnation(8)) {
                now = until;
                continue;
            }
            let push = pusher.offer(now, &descriptors(), Values::from_slots(vec![value]), false);
            let source = push.incarnation;
            let record = shard.records.get(&source).map(|record| &**record);
            let tombstone = shard.tombstones.get(&source).map(|tombstone| &**tombstone);
            match accept(&shard.head, record, tombstone, &push, now) {
                Verdict::Write { record, answer } => {
                    let is_whole = !record.values.slots.is_empty();
                    shard.records.insert(source, Arc::from(record));
                    pusher.answered(now, push.seq, answer);
                    if is_whole {
                        return source;
                    }
                    pusher.hurry(now);
                }
                Verdict::Reply(answer) => {
                    assert_ne!(answer, Answer::Sealed);
                    pusher.answered(now, push.seq, answer);
                }
            }
        }
    }

    fn total(shard: &ShardSnapshot) -> f64 {
        let live = shard.records.values().map(|record| record.values.slot(0) - record.base.slot(0));
        live.sum::<f64>() + shard.archive.series.values().map(|archived| archived.value.value()).sum::<f64>()
    }

    fn shard() -> (ShardSnapshot, Pusher) {
        let mut shard = ShardSnapshot { head: ShardHead::open(Epoch(1)), ..ShardSnapshot::default() };
        let mut pusher = Pusher::new(SOURCE, Worker::default(), PusherSettings::default(), Instant(0));
        assert_eq!(push(&mut shard, &mut pusher, 0, 5.0), SOURCE);
        (shard, pusher)
    }

    #[test]
    fn a_living_source_that_is_retired_comes_back_and_is_counted_once() {
        let (mut shard, mut pusher) = shard();
        let commit = retire(&shard, &[SOURCE, Incarnation(99)], &ArchivePolicy::default()).expect("a record");
        assert!(commit.apply(&mut shard, 1));
        assert!(shard.records.is_empty() && total(&shard) == 5.0);
        assert_eq!(retire(&shard, &[SOURCE], &ArchivePolicy::default()), None);
        assert_eq!(push(&mut shard, &mut pusher, 2_000, 6.0), SOURCE);
        assert_eq!(total(&shard), 6.0);
    }

    #[test]
    fn a_wipe_forgets_what_was_counted_and_a_living_source_goes_on_from_there() {
        let (mut shard, mut pusher) = shard();
        let memory = shard.clone();
        assert!(retire(&shard, &[SOURCE], &ArchivePolicy::default()).expect("a record").apply(&mut shard, 1));
        assert!(wipe(&shard).apply(&mut shard, 2));
        assert!(shard.records.is_empty() && shard.tombstones.is_empty() && total(&shard) == 0.0);
        let settle = Duration::from_secs(3);
        assert!(!needs_restore(&shard, Some(&memory), settle), "no server takes it for a loss");
        assert_eq!(push(&mut shard, &mut pusher, 2_000, 7.0), Incarnation(8));
        assert_eq!(total(&shard), 2.0, "two since the wipe");
        // Even if the store is lost right after that.
        let restored = restore(&shard, Some(&memory), Epoch(2), Instant(0));
        assert_eq!(total(&restored), 2.0);
    }
}
