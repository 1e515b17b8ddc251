//! Units, times of creation, exemplars, facts and removals of many workers in one view.

use std::sync::Arc;

use metrifold_merge::{ConflictReason, Family, FamilyKind, MergeOptions, View, merge};
use metrifold_model::{
    Annotations, Descriptor, DescriptorList, Epoch, Exemplar, GaugeMode, Incarnation, Kind, Labels, Presence,
    Seq, Values, Worker,
};
use metrifold_session::{Instant, ReapPolicy, Record, ShardHead, ShardSnapshot, reap};
use proptest::prelude::*;

fn record(descriptors: &[Descriptor], slots: &[f64], annotations: Annotations) -> Record {
    Record {
        seq: Seq(1),
        epoch: Epoch(1),
        seen: Instant(1_000),
        worker: Arc::new(Worker::default()),
        descriptors: descriptors.iter().cloned().collect::<DescriptorList>(),
        values: Values { annotations, ..Values::from_slots(slots.to_vec()) },
        base: Values::default(),
        ended: false,
    }
}

fn shard(records: impl IntoIterator<Item = Record>) -> ShardSnapshot {
    let numbered = (1..).map(Incarnation).zip(records.into_iter().map(Arc::new));
    ShardSnapshot {
        head: ShardHead::open(Epoch(1)),
        now: Instant(1_000),
        records: numbered.collect(),
        ..ShardSnapshot::default()
    }
}

fn view(shard: &ShardSnapshot) -> View {
    merge(&[Arc::new(shard.clone())], &MergeOptions::default())
}

fn end(shard: &mut ShardSnapshot, source: u64) {
    let record = shard.records.get_mut(&Incarnation(source)).expect("a record");
    Arc::make_mut(record).ended = true;
}

/// Folds who ended.
fn fold(shard: &mut ShardSnapshot) {
    let commit = reap(shard, &ReapPolicy::default()).expect("somebody ended");
    let version = shard.head.version + 1;
    assert!(commit.apply(shard, version));
}

fn counter(label: &str) -> Descriptor {
    Descriptor::new(Kind::Counter, "c", "c_total", Labels::new([("l", label)]), "")
}

fn histogram(bounds: &[&str]) -> Vec<Descriptor> {
    let bucket =
        |bound: &&str| Descriptor::new(Kind::Histogram, "h", "h_bucket", Labels::new([("le", *bound)]), "");
    let sum = Descriptor::new(Kind::Histogram, "h", "h_sum", Labels::default(), "");
    bounds.iter().map(bucket).chain([sum]).collect()
}

fn exemplar(id: &str, timestamp: f64) -> Exemplar {
    Exemplar { labels: Labels::new([("id", id)]), value: 1.0, timestamp }
}

fn created(times: &[u64]) -> Annotations {
    Annotations { created: times.to_vec(), ..Annotations::default() }
}

fn exemplars(of: impl IntoIterator<Item = (usize, Exemplar)>) -> Annotations {
    let exemplars = of.into_iter().map(|(slot, exemplar)| (slot, Arc::new(exemplar)));
    Annotations { exemplars: exemplars.collect(), ..Annotations::default() }
}

fn presence(slots: usize, presence: Presence) -> Annotations {
    Annotations { presence: (0..slots).map(|slot| (slot, presence)).collect(), ..Annotations::default() }
}

fn family<'a>(view: &'a View, name: &str) -> &'a Family {
    view.families.iter().find(|family| family.name == name).expect("a family of this name")
}

#[test]
fn a_unit_is_shown_if_the_name_ends_with_it_and_outlives_its_source() {
    let with = |name: &str, unit: &str| Descriptor {
        unit: unit.into(),
        ..Descriptor::new(Kind::Counter, name, format!("{name}_total"), Labels::default(), "")
    };
    let slots =
        [with("a_seconds", "seconds"), with("b", "seconds"), with("seconds", "seconds"), with("d_s", "")];
    let mut shard = shard([record(&slots, &[1.0; 4], Annotations::default())]);
    let units = |shard: &ShardSnapshot| {
        let units = view(shard).families.into_iter().map(|family| (family.name, family.unit.to_string()));
        units.collect::<Vec<_>>()
    };
    let expected = [("a_seconds", "seconds"), ("b", ""), ("d_s", ""), ("seconds", "")];
    let expected = expected.map(|(name, unit)| (name.to_owned(), unit.to_owned()));
    assert_eq!(units(&shard), expected);
    end(&mut shard, 1);
    fold(&mut shard);
    assert_eq!(units(&shard), expected);
}

#[test]
fn the_earliest_time_of_creation_is_shown_and_outlives_its_source() {
    let slots = [counter("a"), counter("b")];
    let mut shard = shard([
        record(&slots, &[1.0, 1.0], created(&[1_500, 0])),
        record(&slots, &[1.0, 1.0], created(&[1_250])),
    ]);
    assert_eq!(family(&view(&shard), "c").created, [1.25, 0.0]);
    end(&mut shard, 2);
    fold(&mut shard);
    assert_eq!(family(&view(&shard), "c").created, [1.25, 0.0]);
}

#[test]
fn all_samples_of_a_label_set_began_together_and_gauges_never_did() {
    let mut slots = histogram(&["1.0", "+Inf"]);
    slots.push(Descriptor::new(Kind::Gauge(GaugeMode::Sum), "g", "g", Labels::default(), ""));
    let view = view(&shard([record(&slots, &[1.0; 4], created(&[3_000, 2_000, 4_000, 1_000]))]));
    assert_eq!(family(&view, "h").created, [2.0; 4]);
    assert!(family(&view, "g").created.is_empty());
    let unknown = view_of_plain_counter();
    assert!(family(&unknown, "c").created.is_empty(), "known of none");
}

fn view_of_plain_counter() -> View {
    view(&shard([record(&[counter("a")], &[1.0], Annotations::default())]))
}

#[test]
fn the_newest_exemplar_of_each_counter_and_bucket_is_shown_and_outlives_its_source() {
    let slots = histogram(&["1.0", "1", "+Inf"]);
    let mut shard = shard([
        record(&slots, &[1.0; 4], exemplars([(0, exemplar("old", 1.0)), (2, exemplar("inf", 1.0))])),
        record(&slots, &[1.0; 4], exemplars([(1, exemplar("new", 2.0)), (3, exemplar("of a sum", 1.0))])),
    ]);
    let shown = |shard: &ShardSnapshot| {
        let view = view(shard);
        let exemplars = family(&view, "h").exemplars.clone().into_iter();
        exemplars.map(|(place, exemplar)| (place, exemplar.as_ref().clone())).collect::<Vec<_>>()
    };
    let expected = [(0, exemplar("new", 2.0)), (1, exemplar("inf", 1.0))];
    assert_eq!(shown(&shard), expected, "two texts name one bound");
    end(&mut shard, 2);
    fold(&mut shard);
    assert_eq!(shown(&shard), expected);
}

#[test]
fn an_exemplar_that_no_format_can_carry_is_left_out_alone_and_named() {
    let annotations =
        exemplars([(0, Exemplar { labels: Labels::new([("a-b", "c")]), ..exemplar("x", 1.0) })]);
    let mut shard = shard([record(&[counter("a")], &[1.0], annotations)]);
    let merged = view(&shard);
    assert!(family(&merged, "c").exemplars.is_empty());
    assert_eq!(family(&merged, "c").values, [1.0]);
    assert_eq!(merged.conflicts[0].reason, ConflictReason::Exemplar("c_total".into()));
    assert!(merged.conflicts[0].to_string().contains("exemplar_characters_max"), "{}", merged.conflicts[0]);
    end(&mut shard, 1);
    fold(&mut shard);
    let archived = shard.archive.series.values().next().expect("the counter");
    assert_eq!(archived.exemplar, None);
}

#[test]
fn facts_and_states_are_those_of_the_living() {
    let info = |version: &str| {
        Descriptor::new(Kind::Info, "build", "build_info", Labels::new([("version", version)]), "")
    };
    let state =
        |state: &str| Descriptor::new(Kind::StateSet, "task", "task", Labels::new([("task", state)]), "");
    let bad = Descriptor::new(Kind::StateSet, "odd", "odd", Labels::new([("state", "on")]), "");
    let mut shard = shard([
        record(&[info("1"), info("0"), state("on"), state("off"), bad], &[1.0, 0.0, 1.0, 0.0, 1.0], {
            Annotations::default()
        }),
        record(&[info("2"), state("on"), state("off")], &[1.0, 0.0, 0.0], Annotations::default()),
        record(&[info("1"), info("3")], &[1.0, 1.0], presence(2, Presence::Removed(1))),
    ]);
    let merged = view(&shard);
    let lines = |view: &View, name: &str| {
        let samples = family(view, name).samples().map(|sample| {
            let value = sample.labels.iter().next().map_or("", |(_, value)| value).to_owned();
            (value, sample.value)
        });
        samples.collect::<Vec<_>>()
    };
    assert_eq!(family(&merged, "build").kind, FamilyKind::Info);
    assert_eq!(lines(&merged, "build"), [("1".into(), 1.0), ("2".into(), 1.0)]);
    assert_eq!(family(&merged, "task").kind, FamilyKind::StateSet);
    assert_eq!(lines(&merged, "task"), [("off".into(), 0.0), ("on".into(), 1.0)]);
    assert_eq!(merged.conflicts[0].reason, ConflictReason::SampleName("odd".into()));
    end(&mut shard, 1);
    let merged = view(&shard);
    assert_eq!(lines(&merged, "build"), [("2".into(), 1.0)]);
    assert_eq!(lines(&merged, "task"), [("off".into(), 0.0), ("on".into(), 0.0)]);
    end(&mut shard, 2);
    fold(&mut shard);
    assert!(view(&shard).families.is_empty());
}

#[test]
fn a_removed_sum_is_hidden_until_a_living_source_shows_it_and_comes_back_whole() {
    let mut shard = shard([
        record(&[counter("a")], &[3.0], created(&[100])),
        record(&[counter("a")], &[4.0], presence(1, Presence::Removed(200))),
    ]);
    let shown =
        |shard: &ShardSnapshot| view(shard).families.iter().flat_map(|family| family.values.clone()).next();
    assert_eq!(shown(&shard), Some(7.0), "a living source shows it");
    end(&mut shard, 1);
    assert_eq!(shown(&shard), None, "it was removed after the dead one began to show it");
    fold(&mut shard);
    assert_eq!(shown(&shard), None);
    end(&mut shard, 2);
    fold(&mut shard);
    let hidden = view(&shard);
    let series = metrifold_merge::Series { name: "c".into(), labels: Labels::new([("l", "a")]) };
    assert_eq!((hidden.families.len(), &hidden.removed[..]), (0, &[series][..]));
    shard.records.insert(Incarnation(3), Arc::new(record(&[counter("a")], &[1.0], created(&[300]))));
    assert_eq!(shown(&shard), Some(8.0));
    end(&mut shard, 3);
    assert_eq!(shown(&shard), Some(8.0), "it was counted after it was removed");
    fold(&mut shard);
    assert_eq!(shown(&shard), Some(8.0));
    assert!(view(&shard).removed.is_empty());
}

#[test]
fn a_histogram_is_removed_as_a_whole_however_its_bounds_differ() {
    let (one, two) = (histogram(&["1.0", "+Inf"]), histogram(&["5.0", "+Inf"]));
    let mut shard = shard([
        record(&one, &[1.0, 1.0, 9.0], presence(3, Presence::Removed(200))),
        record(&two, &[2.0, 2.0, 9.0], created(&[100, 100, 100])),
    ]);
    let counted = |view: &View| family(view, "h").values.clone();
    assert_eq!(counted(&view(&shard)), [1.0, 3.0, 6.0, 18.0, 6.0]);
    end(&mut shard, 2);
    fold(&mut shard);
    assert!(view(&shard).families.is_empty(), "no bucket of it stays behind");
}

#[test]
fn a_removed_gauge_is_no_more_in_its_source() {
    let modes = [GaugeMode::All, GaugeMode::Min, GaugeMode::Max];
    let gauge = |mode: &GaugeMode| {
        let kind = Kind::Gauge(*mode);
        Descriptor::new(kind, kind.region_name(), kind.region_name(), Labels::default(), "")
    };
    let slots: Vec<_> = modes.iter().map(gauge).collect();
    let mut shard = shard([
        record(&slots, &[1.0; 3], Annotations::default()),
        record(&slots, &[2.0; 3], presence(3, Presence::Removed(1))),
    ]);
    let values = |shard: &ShardSnapshot| {
        view(shard).families.iter().flat_map(|family| family.values.clone()).collect::<Vec<_>>()
    };
    assert_eq!(values(&shard), [1.0; 3]);
    end(&mut shard, 2);
    fold(&mut shard);
    assert_eq!(values(&shard), [1.0; 3]);
    shard.head.age = Instant(90_000_000);
    end(&mut shard, 1);
    fold(&mut shard);
    assert_eq!(shard.archive.series.len(), 0, "nothing of the second source was archived at its trimming");
}

/// What one source says of one counter.
fn source() -> impl Strategy<Value = (u32, Annotations)> {
    let presence = prop_oneof![(1u64..9).prop_map(Presence::Shown), (1u64..9).prop_map(Presence::Removed)];
    let exemplar = (0u8..3, 1u8..4).prop_map(|(id, time)| exemplar(&id.to_string(), f64::from(time)));
    (0u32..9, 0u64..9, proptest::option::of(presence), proptest::option::of(exemplar)).prop_map(
        |(value, created, presence, exemplar)| {
            let annotations = Annotations {
                created: vec![created],
                presence: presence.into_iter().map(|presence| (0, presence)).collect(),
                exemplars: exemplar.into_iter().map(|exemplar| (0, Arc::new(exemplar))).collect(),
            };
            (value, annotations)
        },
    )
}

proptest! {
    /// Goal: once all are dead, neither which of them is folded, nor the order, nor a source that was folded while it
    /// lived and came back, shows in anything.
    #[test]
    fn who_is_folded_does_not_show(
        sources in proptest::collection::vec(source(), 1..5),
        folded_first in proptest::collection::vec(any::<bool>(), 5),
        was_taken_for_dead in (0u32..5, source()),
    ) {
        let records = sources.into_iter().map(|(value, annotations)| {
            record(&[counter("a")], &[f64::from(value)], annotations)
        });
        let mut shard = shard(records);
        let all: Vec<_> = shard.records.keys().copied().collect();
        // One source in an earlier state is folded, comes back, and goes on to what it says in the end.
        let (one, (less, mut before)) = was_taken_for_dead;
        let one = all[one as usize % all.len()];
        let last = shard.records[&one].clone();
        before.created = last.values.annotations.created.clone();
        before.exemplars = last.values.annotations.exemplars.clone();
        let presence = last.values.annotations.presence(0);
        let is_earlier = match (before.presence(0), presence) {
            (Presence::Shown(then) | Presence::Removed(then), Presence::Shown(now) | Presence::Removed(now)) => then < now,
        };
        all.iter().for_each(|source| end(&mut shard, source.0));
        let expected = view(&shard);
        if is_earlier {
            let value = f64::from(less).min(last.values.slot(0));
            let early = record(&[counter("a")], &[value], before);
            shard.records.insert(one, Arc::new(Record { seen: Instant(0), ..early }));
            let others: Vec<_> = all.iter().filter(|other| **other != one).collect();
            for other in others {
                Arc::make_mut(shard.records.get_mut(other).expect("a record")).ended = false;
            }
            shard.now = Instant(400_000);
            for record in shard.records.values_mut().filter(|record| record.seen > Instant(0)) {
                Arc::make_mut(record).seen = shard.now;
            }
            fold(&mut shard);
            let base = shard.tombstones[&one].values.clone();
            shard.records.insert(one, Arc::new(Record { base, seq: Seq(2), ended: true, ..Record::clone(&last) }));
            all.iter().for_each(|source| end(&mut shard, source.0));
            prop_assert_eq!(&view(&shard).families, &expected.families);
        }
        for (source, _) in all.iter().zip(folded_first).filter(|(_, is_first)| *is_first) {
            let commit = metrifold_session::retire(&shard, &[*source], &Default::default()).expect("a record");
            let version = shard.head.version + 1;
            prop_assert!(commit.apply(&mut shard, version));
            let now = view(&shard);
            prop_assert_eq!((&now.families, &now.removed), (&expected.families, &expected.removed));
        }
    }
}
