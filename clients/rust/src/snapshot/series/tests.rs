use metrifold_model::GaugeMode;
use prometheus::{
    Counter, CounterVec, Gauge, Histogram, HistogramOpts, HistogramVec, Opts, Registry,
    proto::{Metric, MetricType, Quantile, Summary},
};
use proptest::prelude::*;

use super::*;

/// `sample{labels} value` per slot, in slot order.
fn lines(snapshot: &Snapshot) -> Vec<String> {
    let line = |(descriptor, value): (&Descriptor, &f64)| {
        let labels: Vec<_> =
            descriptor.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{}{{{}}} {value}", descriptor.sample, labels.join(","))
    };
    snapshot.descriptors().iter().zip(&snapshot.values().slots).map(line).collect()
}

fn register<M: prometheus::core::Collector + Clone + 'static>(registry: &Registry, metric: M) -> M {
    registry.register(Box::new(metric.clone())).expect("a new name");
    metric
}

fn family(name: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.into());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn counter(value: f64) -> Metric {
    let mut counter = prometheus::proto::Counter::default();
    counter.set_value(value);
    let mut metric = Metric::default();
    metric.set_counter(counter);
    metric
}

#[test]
fn every_type_becomes_its_slots() {
    let registry = Registry::new();
    register(&registry, Counter::new("b_events_total", "Events").expect("valid")).inc_by(3.0);
    register(&registry, Counter::new("c_plain", "p").expect("valid")).inc();
    register(&registry, Gauge::new("d_temp", "t").expect("valid")).set(-1.5);
    let opts = HistogramOpts::new("e_sec", "s").buckets(vec![0.1, 1.0, 1e6]).const_label("x", "y");
    let histogram = register(&registry, Histogram::with_opts(opts).expect("valid"));
    [0.05, 0.5, 0.5, 2e6].into_iter().for_each(|value| histogram.observe(value));

    let mut snapshot = Snapshot::default();
    snapshot.take(&registry.gather(), 1.0);

    assert_eq!(
        lines(&snapshot),
        [
            "b_events_total{} 3",
            "c_plain{} 1",
            "d_temp{} -1.5",
            "e_sec_bucket{le=0.1,x=y} 1",
            "e_sec_bucket{le=1.0,x=y} 2",
            "e_sec_bucket{le=1e+06,x=y} 0",
            "e_sec_bucket{le=+Inf,x=y} 1",
            "e_sec_sum{x=y} 2000001.05",
        ]
    );
    let families: Vec<_> =
        snapshot.descriptors().iter().map(|slot| (slot.family.as_str(), slot.kind)).collect();
    assert_eq!(
        families[..4],
        [
            ("b_events", Kind::Counter),
            ("c_plain", Kind::Counter),
            ("d_temp", Kind::Gauge(GaugeMode::All)),
            ("e_sec", Kind::Histogram),
        ]
    );
    assert_eq!(snapshot.descriptors().entries()[0].help, "Events");
    assert_eq!(snapshot.left_out(), []);
}

#[test]
fn a_summary_keeps_count_and_sum_without_quantiles_and_untyped_is_named() {
    let mut summary = Summary::default();
    summary.set_sample_count(2);
    summary.set_sample_sum(0.75);
    summary.set_quantile(vec![Quantile::default()]);
    let mut metric = Metric::default();
    metric.set_summary(summary);
    let mut snapshot = Snapshot::default();
    snapshot.take(
        &[
            family("s", MetricType::SUMMARY, vec![metric]),
            family("u", MetricType::UNTYPED, vec![Metric::default()]),
        ],
        1.0,
    );
    assert_eq!(lines(&snapshot), ["s_count{} 2", "s_sum{} 0.75"]);
    assert_eq!(snapshot.left_out(), [LeftOut { metric: "u".into(), reason: Reason::Untyped, count: 1 }]);
}

#[test]
fn slots_never_move_when_series_come_and_go() {
    let registry = Registry::new();
    let vec = register(&registry, CounterVec::new(Opts::new("r_total", "r"), &["path"]).expect("valid"));
    vec.with_label_values(&["m"]).inc_by(5.0);
    let mut snapshot = Snapshot::default();
    snapshot.take(&registry.gather(), 1.0);
    let before = snapshot.descriptors().clone();

    vec.with_label_values(&["a"]).inc();
    vec.remove_label_values(&["m"]).expect("there");
    snapshot.take(&registry.gather(), 2.0);

    assert_eq!(snapshot.descriptors().hash_of_first(1), Some(before.hash()));
    assert_eq!(lines(&snapshot), ["r_total{path=m} 5", "r_total{path=a} 1"], "what vanished keeps its value");
}

#[test]
fn nothing_falls_when_a_metric_begins_again() {
    let registry = Registry::new();
    let counter = register(&registry, Counter::new("c_total", "c").expect("valid"));
    let opts = HistogramOpts::new("h", "h").buckets(vec![1.0]);
    let vec = register(&registry, HistogramVec::new(opts, &["l"]).expect("valid"));
    let mut snapshot = Snapshot::default();
    counter.inc_by(10.0);
    vec.with_label_values(&["x"]).observe(0.5);
    vec.with_label_values(&["x"]).observe(3.0);
    snapshot.take(&registry.gather(), 1.0);

    counter.reset();
    counter.inc_by(4.0);
    vec.remove_label_values(&["x"]).expect("there");
    vec.with_label_values(&["x"]).observe(0.25);
    snapshot.take(&registry.gather(), 2.0);
    counter.inc();
    snapshot.take(&registry.gather(), 3.0);

    assert_eq!(
        lines(&snapshot),
        ["c_total{} 15", "h_bucket{l=x,le=1.0} 2", "h_bucket{l=x,le=+Inf} 1", "h_sum{l=x} 3.75"]
    );
}

#[test]
fn a_histogram_made_again_with_other_bounds_adds_to_the_old_one() {
    let mut snapshot = Snapshot::default();
    for (bounds, value) in [(vec![1.0, 2.0], 1.5), (vec![2.0, 4.0], 3.0)] {
        let registry = Registry::new();
        let opts = HistogramOpts::new("h", "h").buckets(bounds);
        register(&registry, Histogram::with_opts(opts).expect("valid")).observe(value);
        snapshot.take(&registry.gather(), 1.0);
    }
    assert_eq!(
        lines(&snapshot),
        [
            "h_bucket{le=1.0} 0",
            "h_bucket{le=2.0} 1",
            "h_bucket{le=+Inf} 0",
            "h_sum{} 4.5",
            "h_bucket{le=4.0} 1",
        ]
    );
}

#[test]
fn what_was_inherited_is_not_pushed_again() {
    let registry = Registry::new();
    let counter = register(&registry, Counter::new("c_total", "c").expect("valid"));
    let histogram = register(
        &registry,
        Histogram::with_opts(HistogramOpts::new("h", "h").buckets(vec![1.0])).expect("valid"),
    );
    let gauge = register(&registry, Gauge::new("i", "i").expect("valid"));
    counter.inc_by(10.0);
    histogram.observe(0.5);
    gauge.set(3.0);
    let mut snapshot = Snapshot::default();
    snapshot.begin_after(&registry.gather());
    counter.inc_by(2.0);
    histogram.observe(5.0);
    snapshot.take(&registry.gather(), 1.0);
    counter.reset();
    counter.inc();
    snapshot.take(&registry.gather(), 1.0);
    assert_eq!(
        lines(&snapshot),
        ["c_total{} 3", "h_bucket{le=1.0} 0", "h_bucket{le=+Inf} 1", "h_sum{} 5", "i{} 3"]
    );
}

#[test]
fn a_negative_observation_is_no_reset() {
    let registry = Registry::new();
    let opts = HistogramOpts::new("h", "h").buckets(vec![1.0]);
    let histogram = register(&registry, Histogram::with_opts(opts).expect("valid"));
    let mut snapshot = Snapshot::default();
    for value in [2.0, -5.0] {
        histogram.observe(value);
        snapshot.take(&registry.gather(), 1.0);
    }
    assert_eq!(lines(&snapshot), ["h_bucket{le=1.0} 1", "h_bucket{le=+Inf} 1", "h_sum{} -3"]);
}

#[test]
fn a_counter_that_is_not_a_number_keeps_its_last_good_value_and_is_named() {
    let mut snapshot = Snapshot::default();
    for value in [7.0, f64::NAN, f64::INFINITY, 9.0, f64::NAN, 2.0] {
        snapshot.take(&[family("c", MetricType::COUNTER, vec![counter(value)])], 1.0);
    }
    assert_eq!(lines(&snapshot), ["c{} 11"], "9 before the reset, 2 after it");
    assert_eq!(snapshot.left_out(), [LeftOut { metric: "c".into(), reason: Reason::NotFinite, count: 3 }]);
}

#[test]
fn a_histogram_sum_that_is_not_a_number_leaves_its_counts_alone() {
    let registry = Registry::new();
    let histogram = register(
        &registry,
        Histogram::with_opts(HistogramOpts::new("h", "h").buckets(vec![1.0])).expect("valid"),
    );
    let mut snapshot = Snapshot::default();
    for value in [0.5, f64::INFINITY, 0.5] {
        histogram.observe(value);
        snapshot.take(&registry.gather(), 1.0);
    }
    assert_eq!(lines(&snapshot), ["h_bucket{le=1.0} 2", "h_bucket{le=+Inf} 1", "h_sum{} 0.5"]);
}

#[test]
fn the_same_series_twice_in_one_gather_counts_once() {
    let mut snapshot = Snapshot::default();
    for _ in 0..2 {
        snapshot.take(&[family("c", MetricType::COUNTER, vec![counter(5.0), counter(3.0)])], 1.0);
    }
    assert_eq!(lines(&snapshot), ["c{} 5"]);
    assert_eq!(snapshot.left_out(), [LeftOut { metric: "c".into(), reason: Reason::Duplicate, count: 2 }]);
}

#[test]
fn what_no_store_would_take_is_left_out_alone() {
    let long = "x".repeat(limits::NAME_BYTES_MAX + 1);
    let families = [
        family(&long, MetricType::COUNTER, vec![counter(1.0)]),
        family("ok", MetricType::COUNTER, vec![counter(2.0)]),
    ];
    let mut snapshot = Snapshot::default();
    snapshot.take(&families, 1.0);
    assert_eq!(lines(&snapshot), ["ok{} 2"]);
    assert_eq!(snapshot.left_out()[0].reason, Reason::TooLong);
}

#[test]
fn slots_beyond_the_limit_are_left_out_and_the_others_go_on() {
    let metrics: Vec<_> = (0..limits::SLOTS_PER_SOURCE_MAX + 5)
        .map(|index| {
            let mut label = prometheus::proto::LabelPair::default();
            label.set_name("i".into());
            label.set_value(index.to_string());
            let mut metric = counter(1.0);
            metric.set_label(vec![label]);
            metric
        })
        .collect();
    let mut snapshot = Snapshot::default();
    snapshot.take(&[family("many", MetricType::COUNTER, metrics)], 1.0);
    assert_eq!(snapshot.values().slots.len(), limits::SLOTS_PER_SOURCE_MAX);
    let expected = LeftOut { metric: "many".into(), reason: Reason::TooManySlots, count: 5 };
    assert_eq!(snapshot.left_out(), [expected]);
}

#[test]
fn gauges_follow_their_modes_and_only_the_newest_has_a_time() {
    let registry = Registry::new();
    let depth = register(&registry, Gauge::new("depth", "d").expect("valid"));
    let latest = register(&registry, Gauge::new("latest", "l").expect("valid"));
    let mut modes = GaugeModes::default();
    modes.set_default(GaugeMode::LiveSum);
    modes.set("latest", GaugeMode::MostRecent);
    let mut snapshot = Snapshot::new(modes);

    snapshot.take(&registry.gather(), 10.0);
    assert_eq!(snapshot.values().timestamps, [0.0], "never set");
    latest.set(2.0);
    depth.set(1.0);
    snapshot.take(&registry.gather(), 20.0);
    snapshot.take(&registry.gather(), 30.0);
    assert_eq!(snapshot.values().timestamps, [20.0]);
    depth.set(0.5);
    snapshot.take(&registry.gather(), 40.0);
    assert_eq!(snapshot.values().slots, [0.5, 2.0], "gauges may fall");
    let kinds: Vec<_> = snapshot.descriptors().iter().map(|slot| slot.kind).collect();
    assert_eq!(kinds, [Kind::Gauge(GaugeMode::LiveSum), Kind::Gauge(GaugeMode::MostRecent)]);
}

#[test]
fn a_metric_that_vanishes_is_hidden_and_what_it_counted_is_kept_for_its_return() {
    let registry = Registry::new();
    let counters = register(&registry, CounterVec::new(Opts::new("c_total", "c"), &["l"]).expect("valid"));
    let gauge = Gauge::new("g", "g").expect("valid");
    registry.register(Box::new(gauge.clone())).expect("a new name");
    let mut snapshot = Snapshot::default();
    let take = |snapshot: &mut Snapshot, now| snapshot.take(&registry.gather(), now);
    counters.with_label_values(&["a"]).inc_by(2.0);
    gauge.set(5.0);
    take(&mut snapshot, 1.0);
    assert_eq!(snapshot.values().annotations.created, [1_000]);
    assert!(snapshot.values().annotations.presence.is_empty());

    counters.remove_label_values(&["a"]).expect("there");
    registry.unregister(Box::new(gauge)).expect("registered");
    take(&mut snapshot, 2.0);
    take(&mut snapshot, 2.5);
    assert_eq!(lines(&snapshot), ["c_total{l=a} 2", "g{} 0"]);
    let removed = Presence::Removed(2_000);
    assert_eq!([0, 1].map(|slot| snapshot.values().annotations.presence(slot)), [removed, removed]);

    counters.with_label_values(&["a"]).inc();
    take(&mut snapshot, 2.0);
    assert_eq!(lines(&snapshot), ["c_total{l=a} 3", "g{} 0"]);
    let presence = |slot| snapshot.values().annotations.presence(slot);
    assert_eq!(
        (presence(0), presence(1)),
        (Presence::Shown(2_001), removed),
        "later, whatever the clock says"
    );
}

#[derive(Clone, Debug)]
enum Event {
    Count(u8, u32),
    Observe(u8, u16),
    ResetCounters,
    Forget(u8),
    Gather,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        4 => (0..4_u8, 0..1000_u32).prop_map(|(label, amount)| Event::Count(label, amount)),
        4 => (0..4_u8, 0..1000_u16).prop_map(|(label, value)| Event::Observe(label, value)),
        1 => Just(Event::ResetCounters),
        1 => (0..4_u8).prop_map(Event::Forget),
        3 => Just(Event::Gather),
    ];
    prop::collection::vec(event, 0..120)
}

proptest! {
    /// Method: the registry is gathered before each reset or removal, so that nothing is lost unseen, and after it, so
    /// that no new life can outgrow its old one unseen; then every slot must hold what a plain sum over all lives says.
    #[test]
    fn a_snapshot_holds_what_all_lives_counted_and_nothing_falls(events in events()) {
        let registry = Registry::new();
        let counters = register(&registry, CounterVec::new(Opts::new("c_total", "c"), &["l"]).expect("valid"));
        let opts = HistogramOpts::new("h", "h").buckets(vec![10.0, 100.0, 500.0]);
        let histograms = register(&registry, HistogramVec::new(opts, &["l"]).expect("valid"));
        let mut truth = std::collections::BTreeMap::<String, f64>::new();
        let mut snapshot = Snapshot::default();
        let mut before = Vec::new();
        let gather = |snapshot: &mut Snapshot, before: &mut Vec<f64>| {
            snapshot.take(&registry.gather(), 1.0);
            let now = snapshot.values().slots.clone();
            let fell = before.iter().zip(&now).any(|(before, now)| now < before);
            *before = now;
            !fell
        };
        for event in events.into_iter().chain([Event::Gather]) {
            match event {
                Event::Count(label, amount) => {
                    counters.with_label_values(&[label.to_string()]).inc_by(f64::from(amount));
                    *truth.entry(format!("c_total{{l={label}}}")).or_default() += f64::from(amount);
                }
                Event::Observe(label, value) => {
                    histograms.with_label_values(&[label.to_string()]).observe(f64::from(value));
                    let bound = match value { 0..=10 => "10.0", 11..=100 => "100.0", 101..=500 => "500.0", _ => "+Inf" };
                    *truth.entry(format!("h_bucket{{l={label},le={bound}}}")).or_default() += 1.0;
                    *truth.entry(format!("h_sum{{l={label}}}")).or_default() += f64::from(value);
                }
                Event::ResetCounters => {
                    prop_assert!(gather(&mut snapshot, &mut before));
                    (0..4).for_each(|label| counters.with_label_values(&[label.to_string()]).reset());
                    prop_assert!(gather(&mut snapshot, &mut before));
                }
                Event::Forget(label) => {
                    let label = label.to_string();
                    prop_assert!(gather(&mut snapshot, &mut before));
                    let _ = counters.remove_label_values(&[&label]);
                    let _ = histograms.remove_label_values(&[&label]);
                    counters.with_label_values(&[&label]);
                    histograms.with_label_values(&[&label]);
                    prop_assert!(gather(&mut snapshot, &mut before));
                }
                Event::Gather => prop_assert!(gather(&mut snapshot, &mut before)),
            }
        }
        let held = lines(&snapshot);
        for (series, total) in &truth {
            prop_assert!(held.contains(&format!("{series} {total}")), "{series} {total} not in {held:?}");
        }
        let sum = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>();
        prop_assert_eq!(sum(&mut snapshot.values().slots.iter().copied()), sum(&mut truth.values().copied()));
    }
}
