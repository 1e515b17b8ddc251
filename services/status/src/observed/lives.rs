//! Births, deaths and folds between two copies of a shard.

use std::time::Duration;

use metrifold_model::Incarnation;
use metrifold_session::{ShardSnapshot, is_dead};

/// What happened to the sources of a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Sources that were never heard of before.
    pub(crate) born: u64,
    /// Sources that ended or fell silent.
    pub(crate) died: u64,
    /// Sources whose values went to the archive, whoever folded them.
    pub(crate) folded: u64,
}

impl Changes {
    /// What happened between two copies. Who was born, died and was folded in between counts in all three.
    pub(crate) fn between(before: &ShardSnapshot, now: &ShardSnapshot, ttl: Option<Duration>) -> Changes {
        let is_known = |source| before.records.contains_key(source) || before.tombstones.contains_key(source);
        let was_dead = |source: &Incarnation| {
            before.records.get(source).is_some_and(|record| is_dead(record, before.now, ttl))
        };
        let records =
            now.records.iter().map(|(source, record)| (source, is_dead(record, now.now, ttl), false));
        let refolded = |source: &Incarnation, seq| {
            before.tombstones.get(source).is_none_or(|tombstone| tombstone.seq != seq)
        };
        let tombstones = now.tombstones.iter().filter(|(source, tombstone)| refolded(source, tombstone.seq));
        let tombstones = tombstones.map(|(source, _)| (source, !now.records.contains_key(source), true));
        let mut changes = Changes::default();
        for (source, is_gone, is_folded) in records.chain(tombstones) {
            changes.born += u64::from(!is_known(source) && (is_gone || !is_folded));
            changes.died += u64::from(is_gone && !was_dead(source));
            changes.folded += u64::from(is_folded);
        }
        changes
    }
}

impl std::ops::AddAssign for Changes {
    fn add_assign(&mut self, other: Changes) {
        self.born += other.born;
        self.died += other.died;
        self.folded += other.folded;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use metrifold_model::{DescriptorList, Epoch, Seq, Values};
    use metrifold_session::{Instant, Record, Tombstone};

    use super::*;

    const TTL: Option<Duration> = Some(Duration::from_secs(10));

    fn record(seen: u64) -> Arc<Record> {
        Arc::new(Record {
            seq: Seq(5),
            epoch: Epoch(1),
            seen: Instant(seen),
            worker: Arc::default(),
            descriptors: DescriptorList::default(),
            values: Values::default(),
            base: Values::default(),
            ended: false,
        })
    }

    fn tombstone(seq: u64) -> Arc<Tombstone> {
        Arc::new(Tombstone {
            seq: Seq(seq),
            folded: Instant(0),
            worker: Arc::default(),
            descriptors: DescriptorList::default(),
            values: Values::default(),
            ended: false,
        })
    }

    fn shard(now: u64, records: &[(u64, u64)], tombstones: &[(u64, u64)]) -> ShardSnapshot {
        ShardSnapshot {
            now: Instant(now),
            records: records.iter().map(|(source, seen)| (Incarnation(*source), record(*seen))).collect(),
            tombstones: tombstones
                .iter()
                .map(|(source, seq)| (Incarnation(*source), tombstone(*seq)))
                .collect(),
            ..ShardSnapshot::default()
        }
    }

    #[test]
    fn each_birth_death_and_fold_counts_once_however_far_apart_the_looks_are() {
        let looks = [
            (shard(1_000, &[(1, 900), (2, 900)], &[]), (0, 0, 0)),
            // 2 falls silent, 3 is born.
            (shard(12_000, &[(1, 11_000), (2, 900), (3, 11_000)], &[]), (1, 1, 0)),
            // 2 is folded; 3 is folded though it lives.
            (shard(13_000, &[(1, 12_500)], &[(2, 5), (3, 5)]), (0, 1, 2)),
            // 3 comes back; 4 was born, died and was folded unseen.
            (shard(14_000, &[(1, 13_500), (3, 13_900)], &[(2, 5), (3, 5), (4, 5)]), (1, 1, 1)),
            // 3 dies and is folded again.
            (shard(15_000, &[(1, 14_500)], &[(2, 5), (3, 9), (4, 5)]), (0, 1, 1)),
            // Tombstones are trimmed.
            (shard(16_000, &[(1, 15_500)], &[]), (0, 0, 0)),
        ];
        for pair in looks.windows(2) {
            let changes = Changes::between(&pair[0].0, &pair[1].0, TTL);
            assert_eq!((changes.born, changes.died, changes.folded), pair[1].1, "at {:?}", pair[1].0.now);
        }
    }
}
