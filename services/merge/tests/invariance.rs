//! Order, folding and reviving change no bit of a view.

use std::sync::Arc;

use metrifold_merge::{MergeOptions, Sources, View, merge};
use metrifold_model::{
    Descriptor, DescriptorList, Epoch, GaugeMode, Incarnation, Kind, Labels, Seq, Values, Worker,
};
use metrifold_session::{
    DescriptorPart, Instant, Payload, Push, ReapPolicy, Record, ShardHead, ShardSnapshot, Verdict, accept,
    reap,
};
use proptest::prelude::*;

fn descriptors() -> DescriptorList {
    let slot = |kind, name: &str| Descriptor::new(kind, name, name, Labels::default(), "");
    let bucket = |le: &str| Descriptor::new(Kind::Histogram, "h", "h_bucket", Labels::new([("le", le)]), "");
    [
        slot(Kind::Counter, "c"),
        Descriptor::new(Kind::Histogram, "h", "h_sum", Labels::default(), ""),
        bucket("0.5"),
        bucket("+Inf"),
        Descriptor::new(Kind::Summary, "s", "s_count", Labels::default(), ""),
        Descriptor::new(Kind::Summary, "s", "s_sum", Labels::default(), ""),
        slot(Kind::Gauge(GaugeMode::Sum), "gsum"),
        slot(Kind::Gauge(GaugeMode::Min), "gmin"),
        slot(Kind::Gauge(GaugeMode::Max), "gmax"),
        slot(Kind::Gauge(GaugeMode::MostRecent), "grecent"),
    ]
    .into_iter()
    .collect()
}

/// Values of one worker: sums of fractions, whole buckets, any gauges.
fn worker_values() -> impl Strategy<Value = Values> {
    let fraction = || 1e-9f64..1e12;
    let whole = || (0u32..1_000_000).prop_map(f64::from);
    let gauge = || -1e9f64..1e9;
    let counts = (fraction(), fraction(), whole(), whole(), whole(), fraction());
    let gauges = (gauge(), gauge(), gauge(), gauge(), 1.0f64..1e9);
    (counts, gauges).prop_map(|((c, sum, one, two, count, total), (gsum, gmin, gmax, recent, stamp))| {
        Values::new(vec![c, sum, one, two, count, total, gsum, gmin, gmax, recent], vec![stamp])
    })
}

fn shard_of(workers: &[Values]) -> ShardSnapshot {
    let descriptors = descriptors();
    let records = workers.iter().zip(1..).map(|(values, id)| {
        let record = Record {
            seq: Seq(2),
            epoch: Epoch(1),
            seen: Instant(1_000),
            worker: Arc::new(Worker::default()),
            descriptors: descriptors.clone(),
            values: values.clone(),
            base: Values::default(),
            ended: false,
        };
        (Incarnation(id), Arc::new(record))
    });
    let head = ShardHead::open(Epoch(1));
    ShardSnapshot { head, now: Instant(1_000), records: records.collect(), ..ShardSnapshot::default() }
}

/// Folds the sources of `which` as if they had been silent past their time to live.
fn fold(shard: &mut ShardSnapshot, which: &[usize]) {
    let mut past = shard.clone();
    past.now = Instant(1_000 + 300_001);
    for (index, record) in past.records.values_mut().enumerate() {
        let seen = if which.contains(&index) { Instant(1_000) } else { past.now };
        *record = Arc::new(Record { seen, ..Record::clone(record) });
    }
    let Some(commit) = reap(&past, &ReapPolicy::default()) else { return };
    assert!(commit.apply(shard, shard.head.version + 1), "nothing changed in between");
}

/// Every source that is only in a tombstone pushes again, unchanged.
fn revive(shard: &mut ShardSnapshot) {
    for (incarnation, tombstone) in shard.tombstones.clone() {
        if shard.records.contains_key(&incarnation) {
            continue;
        }
        let push = Push {
            incarnation,
            seq: tombstone.seq.next(),
            acked: tombstone.seq,
            epoch: shard.head.epoch,
            worker: tombstone.worker.clone(),
            descriptors: DescriptorPart::after(&tombstone.descriptors, tombstone.descriptors.len()),
            payload: Payload::Unchanged,
            base: None,
            ended: false,
        };
        let Verdict::Write { record, .. } = accept(&shard.head, None, Some(&tombstone), &push, shard.now)
        else {
            panic!("a revival is written");
        };
        shard.records.insert(incarnation, Arc::from(record));
    }
}

/// What is shown, apart from how many sources it comes from.
fn view(shards: &[ShardSnapshot]) -> View {
    let shards: Vec<_> = shards.iter().cloned().map(Arc::new).collect();
    View { sources: Sources::default(), ..merge(&shards, &MergeOptions::default()) }
}

proptest! {
    /// Folding in any order and batches, reviving, folding again: not one bit.
    #[test]
    fn folding_reviving_and_folding_again_changes_no_bit(
        workers in proptest::collection::vec(worker_values(), 1..12),
        batches in proptest::collection::vec(proptest::collection::vec(0usize..12, 0..6), 0..6),
    ) {
        let mut shard = shard_of(&workers);
        let before = view(std::slice::from_ref(&shard));
        for batch in batches {
            fold(&mut shard, &batch);
            prop_assert_eq!(&view(std::slice::from_ref(&shard)), &before, "folded");
            revive(&mut shard);
            prop_assert_eq!(&view(std::slice::from_ref(&shard)), &before, "revived");
        }
    }

    /// Trimming moves the gauges of the dead into the archive; again not one bit.
    #[test]
    fn trimming_changes_no_bit(
        workers in proptest::collection::vec(worker_values(), 1..12),
        dead in proptest::collection::vec(0usize..12, 0..6),
    ) {
        let mut shard = shard_of(&workers);
        let before = view(std::slice::from_ref(&shard));
        fold(&mut shard, &dead);
        shard.head.age = Instant(25 * 3_600_000);
        fold(&mut shard, &[]);
        prop_assert!(shard.tombstones.is_empty());
        prop_assert_eq!(&view(std::slice::from_ref(&shard)), &before);
    }

    /// Whole numbers come out as they were counted.
    #[test]
    fn counts_are_conserved(workers in proptest::collection::vec(worker_values(), 1..12), dead in 0usize..12) {
        let mut shard = shard_of(&workers);
        fold(&mut shard, &[dead]);
        let view = view(std::slice::from_ref(&shard));
        let counted = |slot: usize| workers.iter().map(|values| values.slots[slot]).sum::<f64>();
        let shown = |name: &str| {
            let samples = view.families.iter().flat_map(|family| family.samples());
            samples.filter(|sample| sample.name == name).map(|sample| sample.value).collect::<Vec<_>>()
        };
        prop_assert_eq!(shown("h_bucket"), [counted(2), counted(2) + counted(3)]);
        prop_assert_eq!(shown("h_count"), [counted(2) + counted(3)]);
        prop_assert_eq!(shown("s_count"), [counted(4)]);
    }

    /// Which shard and which incarnation a worker falls to does not show.
    #[test]
    fn the_order_of_workers_and_shards_changes_no_bit(
        workers in proptest::collection::vec(worker_values(), 1..12),
        split in 0usize..12,
    ) {
        let whole = view(&[shard_of(&workers)]);
        let reversed: Vec<_> = workers.iter().rev().cloned().collect();
        prop_assert_eq!(&view(&[shard_of(&reversed)]), &whole);
        let (left, right) = workers.split_at(split.min(workers.len()));
        prop_assert_eq!(&view(&[shard_of(right), shard_of(left)]), &whole);
    }

    /// More events never make a counter, bucket, count or sum of non-negative observations smaller.
    #[test]
    fn nothing_falls_as_workers_count_on(
        workers in proptest::collection::vec(worker_values(), 1..8),
        grown in 0usize..8,
        more in proptest::collection::vec(0.0f64..1e6, 6),
    ) {
        let before = view(&[shard_of(&workers)]);
        let mut later = workers.clone();
        let grown = grown % later.len();
        for (slot, more) in later[grown].slots.iter_mut().zip(more) {
            *slot += more.floor();
        }
        let after = view(&[shard_of(&later)]);
        for (old, new) in before.families.iter().zip(&after.families) {
            let pairs = old.samples().zip(new.samples());
            let monotone = ["c", "h", "s"].contains(&old.name.as_str());
            prop_assert!(!monotone || pairs.into_iter().all(|(old, new)| new.value >= old.value), "{}", old.name);
        }
    }
}
