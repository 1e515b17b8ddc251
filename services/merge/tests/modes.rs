//! Each kind merges as DESIGN's table says; the expected numbers were run on prometheus_client's own collector.

use std::sync::Arc;

use metrifold_merge::{ConflictReason, MergeOptions, Merger, View, merge};
use metrifold_model::{
    Descriptor, DescriptorList, Epoch, GaugeMode, Incarnation, Kind, LabelNames, Labels, Seq, Values, Worker,
};
use metrifold_session::{ArchivePolicy, Instant, ReapPolicy, Record, ShardHead, ShardSnapshot, reap};

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
        values: Values::new(slots.iter().map(|slot| slot.4).collect(), timestamps),
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
    fold_by(shard, &ReapPolicy::default());
}

fn fold_by(shard: &mut ShardSnapshot, policy: &ReapPolicy) {
    let Some(commit) = reap(shard, policy) else { return };
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
    assert_eq!(value(&view, "g", &[("pid", "7")]), Some(2.0), "the higher incarnation's");
    assert_eq!(view.conflicts[0].reason, ConflictReason::SharedPid("7".into()));
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
fn a_time_stamp_that_is_no_time_means_never_set() {
    for stamp in [0.0, -1.0, f64::NAN] {
        let view = merged(&shard(&[
            record(1, &[gauge(GaugeMode::MostRecent, 9.0, stamp)]),
            record(2, &[gauge(GaugeMode::MostRecent, 1.0, 5.0)]),
        ]));
        assert_eq!(value(&view, "g", &[]), Some(1.0), "stamp {stamp}");
    }
}

#[test]
fn of_two_values_with_one_time_stamp_the_larger_is_newer() {
    let (one, two) = (gauge(GaugeMode::MostRecent, 3.0, 5.0), gauge(GaugeMode::MostRecent, 4.0, 5.0));
    for order in [[one, two], [two, one]] {
        let view = merged(&shard(&[record(1, &order[..1]), record(2, &order[1..])]));
        assert_eq!(value(&view, "g", &[]), Some(4.0));
    }
}

#[test]
fn nan_infinity_and_negative_zero_per_mode() {
    use GaugeMode as M;
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    // Mode, what two workers say, what is shown.
    let table = [
        (M::Min, nan, 2.0, 2.0),
        (M::Max, 2.0, nan, 2.0),
        (M::Min, 0.0, -0.0, -0.0),
        (M::Max, 0.0, -0.0, 0.0),
        (M::Min, -inf, 2.0, -inf),
        (M::Max, inf, 2.0, inf),
        (M::Sum, -0.0, -0.0, 0.0),
        (M::LiveSum, -0.0, -0.0, 0.0),
        (M::Sum, inf, 2.0, 2.0),
        (M::Sum, nan, 2.0, 2.0),
    ];
    for (mode, one, two, expected) in table {
        let view =
            merged(&shard(&[record(1, &[gauge(mode, one, 0.0)]), record(2, &[gauge(mode, two, 0.0)])]));
        let shown = value(&view, "g", &[]).expect("a sample");
        assert_eq!(shown.to_bits(), expected.to_bits(), "{mode:?} of {one} and {two}: {shown}");
        let left_out = usize::from(mode == M::Sum && !one.is_finite());
        assert_eq!(view.conflicts.iter().map(|conflict| conflict.samples).sum::<usize>(), left_out);
    }
    let both =
        merged(&shard(&[record(1, &[gauge(M::Max, nan, 0.0)]), record(2, &[gauge(M::Max, nan, 0.0)])]));
    assert!(value(&both, "g", &[]).expect("a sample").is_nan(), "NaN is shown if there is nothing else");
}

#[test]
fn a_sum_that_overflows_is_left_out_and_named() {
    let huge = (Kind::Counter, "c", "c_total", &[] as &[_], f64::MAX, 0.0);
    let view = merged(&shard(&[record(1, &[huge]), record(2, &[huge])]));
    assert!(view.families.is_empty());
    assert_eq!(view.conflicts[0].reason, ConflictReason::NotFinite("c_total".into()));
}

#[test]
fn a_sum_that_only_its_parts_overflow_is_shown_in_whatever_order_they_come() {
    let sum = |values: [f64; 4]| {
        let records: Vec<_> =
            (1..).zip(values).map(|(pid, value)| record(pid, &[gauge(GaugeMode::Sum, value, 0.0)])).collect();
        value(&merged(&shard(&records)), "g", &[])
    };
    let huge = 2f64.powi(1023);
    for values in [[huge, huge, -huge, 1.5], [1.5, -huge, huge, huge], [huge, 1.5, -huge, huge]] {
        assert_eq!(sum(values), Some(huge), "{values:?}");
    }
    // Just below what would be rounded to infinity.
    let below = -(2f64.powi(970) * 1.5);
    for values in [[huge, huge, below, 0.0], [below, huge, 0.0, huge]] {
        assert_eq!(sum(values), Some(f64::MAX), "{values:?}");
    }
}

#[test]
fn a_negative_zero_changes_no_bit_through_folding() {
    let mut shard = shard(&[record(1, &[gauge(GaugeMode::Sum, -0.0, 0.0)])]);
    let before = value(&merged(&shard), "g", &[]).map(f64::to_bits);
    end(&mut shard, 1);
    fold(&mut shard);
    assert_eq!(value(&merged(&shard), "g", &[]).map(f64::to_bits), before);
}

#[test]
fn a_tombstones_gauges_count_only_while_no_record_lives() {
    let mut shard = shard(&[record(1, &[gauge(GaugeMode::Max, 5.0, 0.0)])]);
    shard.now = Instant(1_000 + 300_001);
    fold(&mut shard);
    assert_eq!(value(&merged(&shard), "g", &[]), Some(5.0), "folded");
    let (incarnation, revived) = record(1, &[gauge(GaugeMode::Max, 2.0, 0.0)]);
    let revived = Record { seen: shard.now, ..Record::clone(&revived) };
    shard.records.insert(incarnation, Arc::new(revived));
    assert_eq!(value(&merged(&shard), "g", &[]), Some(2.0), "back, with a lower value");
}

#[test]
fn a_per_worker_series_ends_with_its_worker() {
    let (incarnation, base) = record(1, &[(Kind::Counter, "c", "c_total", &[], 3.0, 0.0)]);
    let descriptors =
        base.descriptors.iter().map(|slot| Descriptor { per_worker: true, ..slot.clone() }).collect();
    let mut shard = shard(&[(incarnation, Arc::new(Record { descriptors, ..Record::clone(&base) }))]);
    assert_eq!(value(&merged(&shard), "c_total", &[]), Some(3.0));
    end(&mut shard, 1);
    assert_eq!(value(&merged(&shard), "c_total", &[]), None);
    fold(&mut shard);
    assert_eq!(value(&merged(&shard), "c_total", &[]), None);
}

/// One that was taken for dead shows all it counted when it is back: nothing of it was archived.
#[test]
fn a_series_with_a_per_worker_label_ends_with_its_worker() {
    let labels = LabelNames::from_iter(["slot"]);
    let options = MergeOptions { per_worker_labels: labels.clone(), ..MergeOptions::default() };
    let archive = ArchivePolicy { per_worker_labels: labels, ..ArchivePolicy::default() };
    let policy = ReapPolicy { archive, ..ReapPolicy::default() };
    let own: Slot<'_> = (Kind::Counter, "c", "c_total", &[("slot", "a")], 3.0, 0.0);
    let common: Slot<'_> = (Kind::Counter, "c", "c_total", &[("path", "/")], 4.0, 0.0);
    let (incarnation, living) = record(1, &[own, common]);
    let mut shard = shard(&[(incarnation, living.clone())]);
    let shown = |shard: &ShardSnapshot| {
        let view = merge(&[Arc::new(shard.clone())], &options);
        (value(&view, "c_total", &[("slot", "a")]), value(&view, "c_total", &[("path", "/")]))
    };
    assert_eq!(shown(&shard), (Some(3.0), Some(4.0)));
    shard.now = Instant(1_000 + 300_001);
    assert_eq!(shown(&shard), (None, Some(4.0)), "silent for too long");
    fold_by(&mut shard, &policy);
    assert_eq!(shown(&shard), (None, Some(4.0)), "folded");
    let revived = Record { seen: shard.now, base: living.values.clone(), ..Record::clone(&living) };
    shard.records.insert(incarnation, Arc::new(revived));
    assert_eq!(shown(&shard), (Some(3.0), Some(4.0)), "back");
}

#[test]
fn sources_are_counted_by_their_state() {
    let counter = (Kind::Counter, "c", "c_total", &[] as &[_], 1.0, 0.0);
    let mut shard = shard(&[record(1, &[counter]), record(2, &[counter]), record(3, &[counter])]);
    end(&mut shard, 1);
    fold(&mut shard);
    end(&mut shard, 2);
    let sources = merged(&shard).sources;
    assert_eq!((sources.live, sources.dead, sources.folded), (1, 1, 1));
}

/// Only who lives decides it, and where nobody does, the kinds themselves: no fold and no trim.
#[test]
fn the_shown_type_does_not_change_when_sources_are_folded_and_trimmed() {
    let counter = (Kind::Counter, "x", "x_total", &[] as &[_], 3.0, 0.0);
    let summary = (Kind::Summary, "x", "x_sum", &[] as &[_], 4.0, 0.0);
    let (max, all) = (gauge(GaugeMode::Max, 5.0, 0.0), gauge(GaugeMode::All, 6.0, 0.0));
    let clashes = [(counter, summary, "x_total"), (max, all, "g")];
    for (shown, left_out, name) in clashes {
        for first_to_die in [1, 2] {
            let mut shard = shard(&[record(1, &[shown]), record(2, &[left_out])]);
            let before = merged(&shard).families;
            for pid in [first_to_die, 3 - first_to_die] {
                end(&mut shard, pid);
                let dead = merged(&shard).families;
                let is_alone = pid == first_to_die && pid == 1;
                assert_eq!(dead == before, !is_alone, "{name}: worker {pid} died");
                fold(&mut shard);
                assert_eq!(merged(&shard).families, dead, "{name}: worker {pid} was folded");
            }
            shard.head.age = Instant(90_000_000);
            fold(&mut shard);
            assert_eq!(merged(&shard).families, before, "{name}: trimmed");
        }
    }
}

#[test]
fn the_help_of_a_live_source_is_shown_else_that_of_the_one_folded_last() {
    let with_help = |pid, help: &str| {
        let (incarnation, base) = record(pid, &[(Kind::Counter, "c", "c_total", &[], 1.0, 0.0)]);
        let descriptors =
            base.descriptors.iter().map(|slot| Descriptor { help: help.into(), ..slot.clone() });
        (incarnation, Arc::new(Record { descriptors: descriptors.collect(), ..Record::clone(&base) }))
    };
    let mut shard = shard(&[with_help(1, "new"), with_help(2, "old")]);
    let help = |shard: &ShardSnapshot| merged(shard).families[0].help.to_string();
    end(&mut shard, 2);
    assert_eq!(help(&shard), "new");
    fold(&mut shard);
    assert_eq!(help(&shard), "new");
    end(&mut shard, 1);
    fold(&mut shard);
    assert_eq!(help(&shard), "new", "folded last");
}

#[test]
fn two_texts_of_one_bound_are_one_bucket() {
    let view = merged(&shard(&[
        record(1, &[(Kind::Histogram, "h", "h_bucket", &[("le", "1")], 2.0, 0.0)]),
        record(2, &[(Kind::Histogram, "h", "h_bucket", &[("le", "1e0")], 3.0, 0.0)]),
        record(3, &[(Kind::Histogram, "h", "h_bucket", &[("le", "1000000")], 4.0, 0.0)]),
    ]));
    let bounds: Vec<_> =
        view.families[0].samples().map(|sample| (sample.labels.get("le"), sample.value)).collect();
    assert_eq!(bounds, [(Some("1.0"), 5.0), (Some("1e+06"), 9.0), (Some("+Inf"), 9.0), (None, 9.0)]);
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

/// A deployment that makes a counter of a gauge, or a `livemax` of a `max`: what the dead left under the old kind neither shadows
/// what the living have nor is it a conflict, and it is shown again if nobody has the name any more.
#[test]
fn a_kind_that_only_the_dead_had_gives_way_to_that_of_the_living() {
    let old = (Kind::Gauge(GaugeMode::Max), "x", "x", &[] as &[_], 9.0, 0.0);
    let older = (Kind::Counter, "y", "y_total", &[] as &[_], 5.0, 0.0);
    let new = (Kind::Gauge(GaugeMode::LiveMax), "x", "x", &[] as &[_], 2.0, 0.0);
    let newer = (Kind::Gauge(GaugeMode::LiveSum), "y_total", "y_total", &[] as &[_], 3.0, 0.0);
    let mut shard = shard(&[record(1, &[old, older]), record(2, &[new, newer])]);
    let mut merger = Merger::new(MergeOptions::default());
    let mut shown = |shard: &ShardSnapshot| {
        let view = merger.merge(&[Arc::new(shard.clone())]);
        assert_eq!(view, merged(shard), "whatever was merged before");
        (value(&view, "x", &[]), value(&view, "y_total", &[]), view.conflicts.len())
    };
    assert_eq!(shown(&shard), (Some(9.0), Some(5.0), 2), "both live");
    end(&mut shard, 1);
    assert_eq!(shown(&shard), (Some(2.0), Some(3.0), 0), "the old version has ended");
    fold(&mut shard);
    assert_eq!(shown(&shard), (Some(2.0), Some(3.0), 0), "and is folded");
    end(&mut shard, 2);
    fold(&mut shard);
    assert_eq!(shown(&shard), (Some(9.0), Some(5.0), 0), "nobody has the names any more");
}

#[test]
fn names_that_would_break_the_exposition_are_left_out_and_named() {
    let view = merged(&shard(&[record(
        1,
        &[
            (Kind::Counter, "good", "good_total", &[], 1.0, 0.0),
            (Kind::Counter, "", "_total", &[], 1.0, 0.0),
            (Kind::Counter, "labels", "labels_total", &[("__name__", "x")], 1.0, 0.0),
            (Kind::Counter, "labels", "labels_total", &[("", "x")], 1.0, 0.0),
            (Kind::Counter, "alien", "other_total", &[], 1.0, 0.0),
            (Kind::Gauge(GaugeMode::Max), "good_total", "good_total", &[], 4.0, 0.0),
            (Kind::Histogram, "h", "h_bucket", &[("le", "wide")], 1.0, 0.0),
            (Kind::Histogram, "h", "h_sum", &[("le", "2")], 1.0, 0.0),
            (Kind::Counter, "inf", "inf_total", &[], f64::INFINITY, 0.0),
        ],
    )]));
    assert_eq!(view.families.iter().map(|family| family.name.as_str()).collect::<Vec<_>>(), ["good"]);
    assert_eq!(view.conflicts.len(), 8, "{:#?}", view.conflicts);
    assert_eq!(value(&view, "good_total", &[]), Some(1.0), "the rest is untouched");
}

#[test]
fn names_may_be_any_text() {
    let view = merged(&shard(&[record(
        1,
        &[
            (
                Kind::Counter,
                "http.r\u{e9}q \"1\"",
                "http.r\u{e9}q \"1\"_total",
                &[("http.method", "GET")],
                1.0,
                0.0,
            ),
            (Kind::Histogram, "a-b", "a-b_bucket", &[("le", "1")], 1.0, 0.0),
        ],
    )]));
    assert_eq!(value(&view, "http.r\u{e9}q \"1\"_total", &[("http.method", "GET")]), Some(1.0));
    assert_eq!(value(&view, "a-b_count", &[]), Some(1.0));
    assert_eq!(view.conflicts, []);
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
