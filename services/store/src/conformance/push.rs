//! One push after another.

use metrifold_model::{
    Annotations, Descriptor, DescriptorList, Epoch, GaugeMode, Incarnation, Kind, Labels, Presence, Seq,
    Values, Worker, limits,
};
use metrifold_session::{Answer, DescriptorPart, Payload, Refusal};

use super::source::{TestSource, counters, namespace, open, snapshot, unfitting, values};
use crate::Store;

/// A repeated push is acknowledged, a lower number is not stored, and the answer names what is known.
pub async fn numbers_decide_what_is_stored(store: &dyn Store) {
    open(store).await;
    let mut source = TestSource::greet(1, store, 5.0).await;
    let epoch = source.push.epoch.expect("it was acknowledged");
    assert_eq!(Some(epoch), snapshot(store).await.head.epoch);
    source.push.payload = values(&[99.0]);
    assert_eq!(source.again(store).await, Answer::Ok { epoch }, "the same number is known already");
    source.push.seq = Seq(1);
    assert_eq!(source.again(store).await, Answer::Behind { known: Seq(2) });
    let record = snapshot(store).await.records[&Incarnation(1)].clone();
    assert_eq!((record.seq, record.values.slot(0)), (Seq(2), 5.0), "neither of them was stored");
    source.push.seq = Seq(limits::SEQ_MAX - 1);
    source.send_ok(store, values(&[7.0])).await;
    assert_eq!(snapshot(store).await.records[&Incarnation(1)].seq, Seq(limits::SEQ_MAX));
    assert_eq!(source.send(store, values(&[8.0])).await, Answer::Refused(Refusal::Seq), "nobody gets there");
}

/// "Unchanged" is stored only on top of the push that it names.
pub async fn unchanged_needs_what_it_refers_to(store: &dyn Store) {
    open(store).await;
    let mut source = TestSource::greet(1, store, 5.0).await;
    source.send_ok(store, Payload::Unchanged).await;
    let record = snapshot(store).await.records[&Incarnation(1)].clone();
    assert_eq!((record.seq, record.values.slot(0)), (Seq(3), 5.0));
    source.push.acked = Seq(2);
    assert_eq!(source.send(store, Payload::Unchanged).await, Answer::NeedValues);
    assert_eq!(snapshot(store).await.records[&Incarnation(1)].seq, Seq(3), "nothing was stored");
}

/// Values of a source that this epoch does not know may be in the archive already.
pub async fn a_source_that_the_store_forgot_is_expired(store: &dyn Store) {
    open(store).await;
    let epoch = snapshot(store).await.head.epoch;
    for named in [None, epoch] {
        let mut source = TestSource::new(1);
        source.push.epoch = named;
        assert_eq!(source.send(store, values(&[1.0])).await, Answer::Expired);
        assert_eq!(source.send(store, Payload::Unchanged).await, Answer::Expired);
    }
    assert!(snapshot(store).await.records.is_empty());
}

/// A source that names another epoch was lost, not forgotten.
pub async fn a_source_that_the_store_lost_is_taken_with_its_base(store: &dyn Store) {
    open(store).await;
    let epoch = snapshot(store).await.head.epoch.expect("the shard is open");
    let mut source = TestSource::new(1);
    source.push.epoch = Some(Epoch(epoch.0 ^ 1));
    source.push.base = Some(Values::from_slots(vec![2.0]));
    assert_eq!(source.send(store, Payload::Unchanged).await, Answer::NeedValues);
    source.send_ok(store, values(&[10.0])).await;
    let record = snapshot(store).await.records[&Incarnation(1)].clone();
    assert_eq!((record.values.slot(0), record.base.slot(0), record.epoch), (10.0, 2.0, epoch));
}

/// Descriptors must continue those that are known; all of them at once are as good as the new ones.
pub async fn descriptors_only_grow(store: &dyn Store) {
    open(store).await;
    let mut source = TestSource::greet(1, store, 1.0).await;
    source.push.descriptors = unfitting();
    assert_eq!(source.send(store, values(&[2.0])).await, Answer::NeedDescriptors);
    for (count, from) in [(3, 1), (5, 2), (6, 0), (6, 3), (6, 6)] {
        source.push.descriptors = DescriptorPart::after(&counters(count), from);
        source.send_ok(store, values(&vec![1.0; count])).await;
        let record = snapshot(store).await.records[&Incarnation(1)].clone();
        assert_eq!(record.descriptors, counters(count), "{count} from {from}");
        assert_eq!(record.values.slots.len(), count);
    }
    for (count, from) in [(4, 0), (5, 5), (0, 0)] {
        source.push.descriptors = DescriptorPart::after(&counters(count), from);
        assert_eq!(source.send(store, Payload::Hello).await, Answer::NeedDescriptors, "{count} from {from}");
    }
}

/// A push that breaks a limit is refused by name, and nothing of it is stored.
pub async fn what_breaks_a_limit_is_refused(store: &dyn Store) {
    open(store).await;
    let mut source = TestSource::greet(1, store, 1.0).await;
    let refused = source.send(store, values(&[1.0, 2.0])).await;
    assert_eq!(refused, Answer::Refused(Refusal::ValuesWithoutDescriptors));
    source.push.worker = std::sync::Arc::new(Worker { instance: "x".repeat(10_000), ..Worker::default() });
    assert_eq!(source.send(store, values(&[2.0])).await, Answer::Refused(Refusal::TooLong));
    assert_eq!(snapshot(store).await.records[&Incarnation(1)].seq, Seq(2));
}

/// What no slot may hold is refused, whether its descriptor comes along or came with an earlier push, and what was stored
/// stays.
pub async fn values_that_no_slot_may_hold_are_refused(store: &dyn Store) {
    open(store).await;
    let mut source = TestSource::greet(1, store, 5.0).await;
    for (value, refusal) in [
        (f64::NAN, Refusal::NotFinite),
        (f64::INFINITY, Refusal::NotFinite),
        (-1e9, Refusal::Negative),
        (-f64::MIN_POSITIVE, Refusal::Negative),
    ] {
        for from in [0, 1] {
            source.push.descriptors = DescriptorPart::after(&counters(1), from);
            let answer = source.send(store, values(&[value])).await;
            assert_eq!(answer, Answer::Refused(refusal), "{value} from {from}");
        }
    }
    source.push.base = Some(Values::from_slots(vec![f64::NAN]));
    assert_eq!(source.send(store, values(&[6.0])).await, Answer::Refused(Refusal::NotFinite), "a base");
    source.push.base = None;
    assert_eq!(snapshot(store).await.records[&Incarnation(1)].values.slot(0), 5.0);
    source.send_ok(store, values(&[6.0])).await;
}

/// Nothing may stand where there is no slot, and a time must be one.
pub async fn what_belongs_to_no_slot_is_refused(store: &dyn Store) {
    open(store).await;
    let kinds = [Kind::Counter, Kind::Gauge(GaugeMode::MostRecent), Kind::Summary];
    let list: DescriptorList =
        kinds.iter().map(|kind| Descriptor::new(*kind, "f", "f", Labels::default(), "")).collect();
    let mut source = TestSource::new(1);
    source.push.descriptors = DescriptorPart::after(&list, 0);
    source.send_ok(store, Payload::Hello).await;
    let sound = Values::new(vec![1.0, -2.0, -3.0], vec![7.0]);
    let annotated = |annotations| Values { annotations, ..sound.clone() };
    let presence = |slot, at| Annotations { presence: [(slot, at)].into(), ..Annotations::default() };
    let stamped = |timestamps| Values { timestamps, ..sound.clone() };
    let cases = [
        (stamped(vec![0.0; 300_000]), Refusal::ValuesWithoutDescriptors),
        (stamped(vec![1.0, 2.0]), Refusal::ValuesWithoutDescriptors),
        (stamped(vec![f64::NAN]), Refusal::Time),
        (stamped(vec![-1.0]), Refusal::Time),
        (stamped(vec![1e300]), Refusal::Time),
        (annotated(presence(3, Presence::Shown(1))), Refusal::Annotations),
        (annotated(presence(0, Presence::Removed(u64::MAX))), Refusal::Time),
        (
            annotated(Annotations { created: vec![0; 4], ..Annotations::default() }),
            Refusal::ValuesWithoutDescriptors,
        ),
        (annotated(Annotations { created: vec![u64::MAX], ..Annotations::default() }), Refusal::Time),
    ];
    for (values, refusal) in cases {
        for from in [0, 3] {
            source.push.descriptors = DescriptorPart::after(&list, from);
            let answer = source.send(store, Payload::Values(values.clone())).await;
            assert_eq!(answer, Answer::Refused(refusal), "{values:?} from {from}");
        }
    }
    source.send_ok(store, Payload::Values(sound.clone())).await;
    assert_eq!(snapshot(store).await.records[&Incarnation(1)].values, sound);
}

/// No more than `sources_max` sources are taken, those that are known go on, and a place that is free is given away.
pub async fn sources_are_bounded(store: &dyn Store, sources_max: u64) {
    open(store).await;
    let mut first = TestSource::greet(1, store, 1.0).await;
    for incarnation in 2..=sources_max {
        TestSource::greet(incarnation, store, 1.0).await;
    }
    let mut late = TestSource::new(sources_max + 1);
    assert_eq!(late.send(store, Payload::Hello).await, Answer::Refused(Refusal::TooManySources));
    first.send_ok(store, values(&[2.0])).await;
    assert_eq!(snapshot(store).await.records.len() as u64, sources_max);
}

/// Servers find a namespace that only a pusher has named.
pub async fn a_namespace_is_known_after_its_first_push(store: &dyn Store) {
    TestSource::new(1).send(store, Payload::Hello).await;
    let names = store.namespaces().await.expect("the store is reachable");
    assert_eq!(names, [namespace()]);
    assert_eq!(store.shards(&namespace()).await.expect("the store is reachable"), 1);
    store.check().await.expect("the store can be used");
}
