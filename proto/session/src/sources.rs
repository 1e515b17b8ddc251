//! Who is there: one row per source, for people.

use std::{sync::Arc, time::Duration};

use crate::{Record, ShardSnapshot, Tombstone, is_dead};
use metrifold_model::{DescriptorList, Incarnation, Kind, Values, Worker};

/// Where a source stands between its first push and oblivion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceState {
    /// It has pushed within its time to live and did not say that it ended.
    Live,
    /// It ended or fell silent, and is not folded yet.
    Dead,
    /// Its sums are in the archive; a tombstone remembers it.
    Folded,
}

impl SourceState {
    /// Every state, in the order of lists.
    pub const ALL: [SourceState; 3] = [SourceState::Live, SourceState::Dead, SourceState::Folded];

    /// One word.
    pub fn name(self) -> &'static str {
        match self {
            SourceState::Live => "live",
            SourceState::Dead => "dead",
            SourceState::Folded => "folded",
        }
    }
}

/// One source, as a list of sources shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRow {
    /// Where it stands.
    pub state: SourceState,
    /// Which source it is.
    pub source: Incarnation,
    /// Which process it is or was.
    pub worker: Arc<Worker>,
    /// Since the last push, or since the fold.
    pub age: Duration,
    /// Series as a scrape shows them: one per slot, and `_count`, which follows from the buckets.
    pub series: usize,
    /// Bytes of its values, time stamps and base; what they mean is shared among equal workers and not counted.
    pub value_bytes: usize,
}

/// One row per source of a shard, in no particular order. A source that came back has a tombstone too, for as long as
/// that lasts, and is listed once.
pub fn source_rows(snapshot: &ShardSnapshot, ttl: Option<Duration>) -> impl Iterator<Item = SourceRow> {
    let folded = snapshot.tombstones.iter().filter(|(source, _)| !snapshot.records.contains_key(source));
    let folded = folded.map(|(source, tombstone)| of_tombstone(*source, tombstone, snapshot));
    snapshot
        .records
        .iter()
        .map(move |(source, record)| of_record(*source, record, snapshot, ttl))
        .chain(folded)
}

/// How many sources of a shard are in which state, in the order of [`SourceState::ALL`].
pub fn count_states(snapshot: &ShardSnapshot, ttl: Option<Duration>) -> [usize; 3] {
    let dead = snapshot.records.values().filter(|record| is_dead(record, snapshot.now, ttl)).count();
    let folded = snapshot.tombstones.keys().filter(|source| !snapshot.records.contains_key(source)).count();
    [snapshot.records.len() - dead, dead, folded]
}

/// Sorts for people: the living first, then by host; within a host by pid, and the folded by how lately they were.
pub fn sort_sources(rows: &mut [SourceRow]) {
    fn key(row: &SourceRow) -> (SourceState, &str, Duration, u64, &str, Incarnation) {
        let Worker { instance, process, .. } = &*row.worker;
        let age = if row.state == SourceState::Folded { row.age } else { Duration::ZERO };
        // Pids by number; what is no pid stands behind them.
        let pid = process.parse().unwrap_or(u64::MAX);
        (row.state, instance, age, pid, process, row.source)
    }
    rows.sort_unstable_by(|one, other| key(one).cmp(&key(other)));
}

fn of_record(
    source: Incarnation,
    record: &Record,
    snapshot: &ShardSnapshot,
    ttl: Option<Duration>,
) -> SourceRow {
    let state = if is_dead(record, snapshot.now, ttl) { SourceState::Dead } else { SourceState::Live };
    SourceRow {
        state,
        source,
        worker: record.worker.clone(),
        age: snapshot.now.since(record.seen),
        series: series(&record.descriptors),
        value_bytes: value_bytes(&record.values) + value_bytes(&record.base),
    }
}

fn of_tombstone(source: Incarnation, tombstone: &Tombstone, snapshot: &ShardSnapshot) -> SourceRow {
    SourceRow {
        state: SourceState::Folded,
        source,
        worker: tombstone.worker.clone(),
        age: snapshot.head.age.since(tombstone.folded),
        series: series(&tombstone.descriptors),
        value_bytes: value_bytes(&tombstone.values),
    }
}

fn series(descriptors: &DescriptorList) -> usize {
    let counts = descriptors.iter().filter(|of| of.kind == Kind::Histogram && of.sample.ends_with("_sum"));
    descriptors.len() + counts.count()
}

fn value_bytes(values: &Values) -> usize {
    size_of::<f64>() * (values.slots.len() + values.timestamps.len())
}

#[cfg(test)]
mod tests {
    use crate::Instant;
    use metrifold_model::{Descriptor, Epoch, Labels, Seq};

    use super::*;

    fn record(instance: &str, process: &str, seen: u64, ended: bool) -> Arc<Record> {
        let sample = |kind, name: &str| Descriptor::new(kind, "h", name, Labels::default(), "");
        Arc::new(Record {
            seq: Seq(2),
            epoch: Epoch(1),
            seen: Instant(seen),
            worker: Arc::new(Worker {
                instance: instance.into(),
                process: process.into(),
                labels: Labels::default(),
            }),
            descriptors: [sample(Kind::Histogram, "h_bucket"), sample(Kind::Histogram, "h_sum")]
                .into_iter()
                .collect(),
            values: Values::from_slots(vec![1.0, 2.0]),
            base: Values::from_slots(vec![1.0]),
            ended,
        })
    }

    fn tombstone(of: &Record) -> Arc<Tombstone> {
        Arc::new(Tombstone {
            seq: of.seq,
            folded: Instant(30_000),
            worker: of.worker.clone(),
            descriptors: of.descriptors.clone(),
            values: of.values.clone(),
            ended: false,
        })
    }

    #[test]
    fn sources_are_live_dead_or_folded_and_each_is_listed_once() {
        let mut snapshot = ShardSnapshot { now: Instant(100_000), ..ShardSnapshot::default() };
        snapshot.head.age = Instant(40_000);
        let (silent, ended, living) =
            (record("b", "1", 1, false), record("a", "2", 99_000, true), record("b", "3", 98_000, false));
        snapshot.tombstones.insert(Incarnation(4), tombstone(&record("c", "4", 1, false)));
        snapshot.tombstones.insert(Incarnation(3), tombstone(&living));
        snapshot.records.extend([
            (Incarnation(1), silent),
            (Incarnation(2), ended),
            (Incarnation(3), living),
        ]);
        let mut rows: Vec<_> = source_rows(&snapshot, Some(Duration::from_secs(60))).collect();
        sort_sources(&mut rows);
        let shown: Vec<_> = rows.iter().map(|row| (row.state, row.source.0, row.age.as_secs())).collect();
        assert_eq!(
            shown,
            [
                (SourceState::Live, 3, 2),
                (SourceState::Dead, 2, 1),
                (SourceState::Dead, 1, 99),
                (SourceState::Folded, 4, 10)
            ]
        );
        assert_eq!(count_states(&snapshot, Some(Duration::from_secs(60))), [1, 2, 1]);
        assert_eq!((rows[0].series, rows[0].value_bytes), (3, 24), "buckets, sum and the count that follows");
        assert!(source_rows(&snapshot, None).filter(|row| row.state == SourceState::Live).count() == 2);
    }
}
