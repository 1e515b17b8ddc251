//! Views that keep labels of workers, over the death of those workers.

use std::{collections::BTreeMap, sync::Arc};

use metrifold_merge::{MergeOptions, View, merge};
use metrifold_model::{
    Descriptor, DescriptorList, Epoch, GaugeMode, Incarnation, Kind, LabelNames, Labels, Seq, Values, Worker,
};
use metrifold_session::{ArchivePolicy, Instant, ReapPolicy, Record, ShardHead, ShardSnapshot, reap};
use proptest::prelude::*;

/// Host, zone (not every worker has one), requests, and whether it has ended.
type Spec = (u8, Option<u8>, u32, bool);

fn descriptors() -> DescriptorList {
    let bucket = |le: &str| Descriptor::new(Kind::Histogram, "h", "h_bucket", Labels::new([("le", le)]), "");
    [
        Descriptor::new(Kind::Counter, "c", "c_total", Labels::new([("code", "200")]), ""),
        // It has a host of its own.
        Descriptor::new(Kind::Counter, "d", "d_total", Labels::new([("host", "upstream")]), ""),
        Descriptor::new(Kind::Histogram, "h", "h_sum", Labels::default(), ""),
        bucket("0.5"),
        bucket("+Inf"),
        Descriptor::new(Kind::Gauge(GaugeMode::Max), "m", "m", Labels::default(), ""),
    ]
    .into_iter()
    .collect()
}

fn shard(specs: &[Spec]) -> ShardSnapshot {
    let record = |(number, (host, zone, requests, ended)): (u64, &Spec)| {
        let zone = zone.map(|zone| ("zone", format!("z{zone}")));
        let requests = f64::from(*requests) / 10.0;
        let record = Record {
            seq: Seq(1),
            epoch: Epoch(1),
            seen: Instant(1_000),
            worker: Arc::new(Worker {
                instance: format!("h{host}"),
                process: number.to_string(),
                labels: Labels::new(zone),
            }),
            descriptors: descriptors(),
            values: Values::from_slots(vec![requests; 6]),
            base: Values::default(),
            ended: *ended,
        };
        (Incarnation(number), Arc::new(record))
    };
    ShardSnapshot {
        head: ShardHead::open(Epoch(1)),
        now: Instant(1_000),
        records: (1..).zip(specs).map(record).collect(),
        ..ShardSnapshot::default()
    }
}

fn names(names: &[&str]) -> LabelNames {
    names.iter().copied().collect()
}

/// Folds the ended; with a lifetime of zero their gauges go to the archive too.
fn fold(shard: &mut ShardSnapshot, archive_labels: &LabelNames) {
    let archive = ArchivePolicy { archive_labels: archive_labels.clone(), ..ArchivePolicy::default() };
    let policy =
        ReapPolicy { archive, tombstone_lifetime: std::time::Duration::ZERO, ..ReapPolicy::default() };
    for _ in 0..2 {
        if let Some(commit) = reap(shard, &policy) {
            assert!(commit.apply(shard, 2));
        }
        shard.head.age = Instant(shard.head.age.0 + 1);
    }
    assert!(shard.tombstones.is_empty() && shard.records.values().all(|record| !record.ended));
}

fn view(shard: &ShardSnapshot, group_by: &LabelNames) -> View {
    let options = MergeOptions { group_by: group_by.clone(), ..MergeOptions::default() };
    let view = merge(&[Arc::new(shard.clone())], &options);
    assert!(view.conflicts.is_empty(), "{:?}", view.conflicts);
    view
}

/// Sample name and labels to value.
fn samples(view: &View, name: &str) -> BTreeMap<String, f64> {
    let text = |labels: &Labels| labels.iter().map(|(name, value)| format!("{name}={value} ")).collect();
    let samples = view.families.iter().flat_map(|family| family.samples());
    samples.filter(|sample| sample.name == name).map(|sample| (text(sample.labels), sample.value)).collect()
}

fn spec() -> impl Strategy<Value = Spec> {
    (0u8..3, proptest::option::of(0u8..2), 0u32..1_000, any::<bool>())
}

proptest! {
    /// Goal: what a view is grouped by, nobody sees who has died.
    #[test]
    fn folding_changes_no_bit_of_a_view_by_labels_that_the_archive_keeps(
        specs in proptest::collection::vec(spec(), 0..12),
    ) {
        let before = shard(&specs);
        let mut after = before.clone();
        fold(&mut after, &names(&["host", "zone"]));
        for group_by in [&[][..], &["host"], &["zone"], &["host", "zone"]] {
            let (before, after) = (view(&before, &names(group_by)), view(&after, &names(group_by)));
            prop_assert_eq!(before.families, after.families, "by {:?}", group_by);
        }
    }
}

#[test]
fn a_view_by_zone_has_each_zones_sum_and_those_without_one_under_none() {
    let mut shard = shard(&[
        (1, Some(1), 10, true),
        (2, Some(1), 20, false),
        (1, Some(2), 30, true),
        (1, None, 40, true),
        (2, None, 50, false),
    ]);
    fold(&mut shard, &names(&["zone"]));
    let by_zone = view(&shard, &names(&["zone"]));
    assert_eq!(
        samples(&by_zone, "c_total"),
        BTreeMap::from([
            ("code=200 ".into(), 9.0),
            ("code=200 zone=z1 ".into(), 3.0),
            ("code=200 zone=z2 ".into(), 3.0)
        ])
    );
    assert_eq!(samples(&by_zone, "h_count").len(), 3);
    assert_eq!(samples(&view(&shard, &names(&[])), "c_total"), BTreeMap::from([("code=200 ".into(), 15.0)]));
}

#[test]
fn a_label_of_the_series_stands_before_its_workers() {
    let mut shard = shard(&[(1, None, 10, true), (2, None, 20, false)]);
    fold(&mut shard, &names(&["host"]));
    let by_host = view(&shard, &names(&["host"]));
    assert_eq!(samples(&by_host, "d_total"), BTreeMap::from([("host=upstream ".into(), 3.0)]));
    assert_eq!(samples(&by_host, "m"), BTreeMap::from([("host=h1 ".into(), 1.0), ("host=h2 ".into(), 2.0)]));
}

/// The archive may hold more labels than a server that was told of fewer knows: they are never shown.
#[test]
fn labels_that_the_archive_keeps_are_merged_across_unless_they_are_asked_for() {
    let mut shard = shard(&[(1, Some(1), 10, true), (2, Some(2), 20, true)]);
    fold(&mut shard, &names(&["host", "zone"]));
    assert_eq!(shard.archive.series.keys().filter(|key| key.family == "c").count(), 2);
    assert_eq!(samples(&view(&shard, &names(&[])), "m"), BTreeMap::from([(String::new(), 2.0)]));
    assert_eq!(samples(&view(&shard, &names(&["zone"])), "m").len(), 2);
}
