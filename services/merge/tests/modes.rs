//! Each kind merges as DESIGN's table says; the expected numbers were run on prometheus_client's own collector.

use std::sync::Arc;

use metrifold_merge::{ConflictReason, MergeOptions, View, merge};
use metrifold_model::{
    Descriptor, DescriptorList, Epoch, GaugeMode, Incarnation, Kind, Labels, Seq, Values, Worker,
};
use metrifold_session::{Instant, ReapPolicy, Record, ShardHead, ShardSnapshot, reap};

/// One worker's slots: kind, family, sample, labels, value, time stamp.
type Slot<'a> = (Kind, &'a str, &'a str, &'a [(&'a str, &'a str)], f64, f64);

fn record(pid: u64, slots: &[Slot<'_>]) -> (Incarnation, Arc<Record>) {
    let descriptors: DescriptorList = slots
        .iter()
        .map(|(kind, family, sample, labels, ..)| {
            Descriptor::new(*kind, *family, *sample, Labels::new(labels.iter().copied()), "Help")
        })
        .collect();
    let timestamps = slots.iter().filter(|slot| slot.0.is_timestamped()).map(|slot| slot.5).collect();
    let record = Record {
        seq: Seq(1),
        epoch: Epoch(1),
        seen: Instant(1_000),
        worker: Arc::new(Worker {
            instance: format!("host{pid}"),
            process: pid.to_string(),
            ..Worker::default()
        }),
        descriptors,
        values: Values { slots: slots.iter().map(|slot| slot.4).collect(), timestamps },
        base: Values::default(),
        ended: false,
    };
    (Incarnation(pid), Arc::new(record))
}

fn shard(records: &[(Incarnation, Arc<Record>)]) -> ShardSnapshot {
    ShardSnapshot {
        head: ShardHead::open(Epoch(1)),
        now: Instant(1_000),
        records: records.iter().cloned().collect(),
        ..ShardSnapshot::default()
    }
}

fn merged(shard: &ShardSnapshot) -> View {
    merge(&[Arc::new(shard.clone())], &MergeOptions::default())
}

/// Folds everything that is due, as a store would.
fn fold(shard: &mut ShardSnapshot) {
    let Some(commit) = reap(shard, &ReapPolicy::default()) else { return };
    shard.archive = Arc::new(commit.archive);
    commit.trimmed.iter().for_each(|incarnation| drop(shard.tombstones.remove(incarnation)));
    for (incarnation, _, tombstone) in commit.folded {
        shard.records.remove(&incarnation);
        shard.tombstones.insert(incarnation, tombstone);
    }
    shard.head.version += 1;
}

fn end(shard: &mut ShardSnapshot, pid: u64) {
    let record = shard.records.get_mut(&Incarnation(pid)).expect("a live worker");
    *record = Arc::new(Record { ended: true, ..Record::clone(record) });
}

fn value(view: &View, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let labels = Labels::new(labels.iter().copied());
    let samples = view.families.iter().flat_map(|family| family.samples());
    samples
        .into_iter()
        .find(|sample| sample.name == name && *sample.labels == labels)
        .map(|sample| sample.value)
}

fn gauge(mode: GaugeMode, value: f64, timestamp: f64) -> Slot<'static> {
    (Kind::Gauge(mode), "g", "g", &[], value, timestamp)
}

#[test]
fn unequal_buckets_merge_bound_by_bound_and_never_fall() {
    let one = record(
        1,
        &[
            (Kind::Histogram, "h", "h_sum", &[], 4.0, 0.0),
            (Kind::Histogram, "h", "h_bucket", &[("le", "1.0")], 5.0, 0.0),
            (Kind::Histogram, "h", "h_bucket", &[("le", "+Inf")], 1.0, 0.0),
        ],
    );
    let two = record(
        2,
        &[
            (Kind::Histogram, "h", "h_sum", &[], 0.5, 0.0),
            (Kind::Histogram, "h", "h_bucket", &[("le", "2.0")], 3.0, 0.0),
            (Kind::Histogram, "h", "h_bucket", &[("le", "+Inf")], 0.0, 0.0),
        ],
    );
    let view = merged(&shard(&[one, two]));
    let buckets = [("1.0", 5.0), ("2.0", 8.0), ("+Inf", 9.0)];
    for (bound, count) in buckets {
        assert_eq!(value(&view, "h_bucket", &[("le", bound)]), Some(count), "le {bound}");
    }
    assert_eq!(value(&view, "h_count", &[]), Some(9.0));
    assert_eq!(value(&view, "h_sum", &[]), Some(4.5));
}

#[test]
fn a_histogram_without_an_infinite_bucket_gets_one() {
    let view = merged(&shard(&[record(1, &[(Kind::Histogram, "h", "h_bucket", &[("le", "1")], 2.0, 0.0)])]));
    assert_eq!(value(&view, "h_bucket", &[("le", "1.0")]), Some(2.0));
    assert_eq!(value(&view, "h_bucket", &[("le", "+Inf")]), Some(2.0));
}

#[test]
fn every_gauge_mode_over_life_death_and_folding() {
    use GaugeMode as M;
    // Mode; worker 1 says 5 at time 10 and dies, worker 2 says 3 at time 20; expected while both live, and afterwards.
    let table: [(GaugeMode, Option<f64>, Option<f64>); 8] = [
        (M::Min, Some(3.0), Some(3.0)),
        (M::LiveMin, Some(3.0), Some(3.0)),
        (M::Max, Some(5.0), Some(5.0)),
        (M::LiveMax, Some(5.0), Some(3.0)),
        (M::Sum, Some(8.0), Some(8.0)),
        (M::LiveSum, Some(8.0), Some(3.0)),
        (M::MostRecent, Some(3.0), Some(3.0)),
        (M::LiveMostRecent, Some(3.0), Some(3.0)),
    ];
    for (mode, while_both_live, after) in table {
        let mut shard = shard(&[record(1, &[gauge(mode, 5.0, 10.0)]), record(2, &[gauge(mode, 3.0, 20.0)])]);
        assert_eq!(value(&merged(&shard), "g", &[]), while_both_live, "{mode:?}");
        end(&mut shard, 1);
        assert_eq!(value(&merged(&shard), "g", &[]), after, "{mode:?} dead, not folded");
        fold(&mut shard);
        assert_eq!(value(&merged(&shard), "g", &[]), after, "{mode:?} folded");
        // A day later the tombstone is trimmed.
        shard.head.age = Instant(90_000_000);
        fold(&mut shard);
        assert!(shard.tombstones.is_empty());
        assert_eq!(value(&merged(&shard), "g", &[]), after, "{mode:?} trimmed");
    }
}

#[test]
fn gauges_of_mode_all_stay_for_the_retention_and_liveall_ends_at_once() {
    for (mode, after_death) in [(GaugeMode::All, Some(5.0)), (GaugeMode::LiveAll, None)] {
        let mut shard = shard(&[record(1, &[gauge(mode, 5.0, 0.0)]), record(2, &[gauge(mode, 3.0, 0.0)])]);
        assert_eq!(value(&merged(&shard), "g", &[("pid", "1")]), Some(5.0));
        end(&mut shard, 1);
        assert_eq!(value(&merged(&shard), "g", &[("pid", "1")]), after_death, "{mode:?}");
        fold(&mut shard);
        assert_eq!(value(&merged(&shard), "g", &[("pid", "1")]), after_death, "{mode:?} folded");
        shard.head.age = Instant(300_001);
        assert_eq!(value(&merged(&shard), "g", &[("pid", "1")]), None, "{mode:?} retention over");
        assert_eq!(value(&merged(&shard), "g", &[("pid", "2")]), Some(3.0));
    }
}

#[test]
fn equal_pids_on_two_hosts_are_told_apart_only_by_the_host_label() {
    let mut one = record(7, &[gauge(GaugeMode::All, 1.0, 0.0)]);
    one.0 = Incarnation(1);
    let mut two = record(7, &[gauge(GaugeMode::All, 2.0, 0.0)]);
    two.0 = Incarnation(2);
    Arc::make_mut(&mut two.1).worker =
        Arc::new(Worker { instance: "other".into(), ..Worker::clone(&one.1.worker) });
    let shard = Arc::new(shard(&[one, two]));
    let view = merge(std::slice::from_ref(&shard), &MergeOptions::default());
    assert_eq!(view.families[0].series.len(), 1, "never a series twice");
    let view = merge(&[shard], &MergeOptions { host_label: true, ..MergeOptions::default() });
    assert_eq!(value(&view, "g", &[("pid", "7"), ("host", "host7")]), Some(1.0));
    assert_eq!(value(&view, "g", &[("pid", "7"), ("host", "other")]), Some(2.0));
}

#[test]
fn a_mostrecent_gauge_that_was_never_set_has_no_sample() {
    let view = merged(&shard(&[record(1, &[gauge(GaugeMode::MostRecent, 0.0, 0.0)])]));
    assert_eq!(value(&view, "g", &[]), None);
}

#[test]
fn a_type_conflict_shows_the_counter_and_names_the_other() {
    let one = record(1, &[(Kind::Gauge(GaugeMode::Max), "x", "x", &[], 9.0, 0.0)]);
    let two = record(2, &[(Kind::Counter, "x", "x_total", &[], 3.0, 0.0)]);
    let view = merged(&shard(&[one, two]));
    assert_eq!(value(&view, "x_total", &[]), Some(3.0));
    assert_eq!(value(&view, "x", &[]), None);
    let shown = ConflictReason::Kind { shown: Kind::Counter, left_out: Kind::Gauge(GaugeMode::Max) };
    assert_eq!(view.conflicts.iter().map(|conflict| &conflict.reason).collect::<Vec<_>>(), [&shown]);
}

#[test]
fn names_that_would_break_the_exposition_are_left_out_and_named() {
    let view = merged(&shard(&[record(
        1,
        &[
            (Kind::Counter, "good", "good_total", &[], 1.0, 0.0),
            (Kind::Counter, "bad name", "bad name_total", &[], 1.0, 0.0),
            (Kind::Counter, "labels", "labels_total", &[("a-b", "x")], 1.0, 0.0),
            (Kind::Counter, "alien", "other_total", &[], 1.0, 0.0),
            (Kind::Gauge(GaugeMode::Max), "good_total", "good_total", &[], 4.0, 0.0),
            (Kind::Histogram, "h", "h_bucket", &[("le", "wide")], 1.0, 0.0),
            (Kind::Counter, "inf", "inf_total", &[], f64::INFINITY, 0.0),
        ],
    )]));
    assert_eq!(view.families.iter().map(|family| family.name.as_str()).collect::<Vec<_>>(), ["good"]);
    assert_eq!(view.conflicts.len(), 6, "{:#?}", view.conflicts);
    assert_eq!(value(&view, "good_total", &[]), Some(1.0), "the rest is untouched");
}

#[test]
fn a_paused_worker_past_its_ttl_keeps_its_counts_and_loses_its_live_gauges() {
    let mut shard = shard(&[record(
        1,
        &[
            (Kind::Counter, "c", "c_total", &[], 2.0, 0.0),
            (Kind::Gauge(GaugeMode::LiveSum), "g", "g", &[], 2.0, 0.0),
        ],
    )]);
    shard.now = Instant(1_000 + 300_001);
    let view = merged(&shard);
    assert_eq!(value(&view, "c_total", &[]), Some(2.0));
    assert_eq!(value(&view, "g", &[]), None);
}
