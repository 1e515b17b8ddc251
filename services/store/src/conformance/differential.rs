//! The same random story told to two stores.

use std::sync::Arc;

use metrifold_model::{
    Annotations, Descriptor, DescriptorHash, DescriptorList, Epoch, Exemplar, GaugeMode, Incarnation, Kind,
    Labels, Presence, Seq, Values, Worker,
};
use metrifold_session::{Answer, DescriptorPart, Instant, Payload, Push, Record, ShardSnapshot};

use super::{
    fold::{commit, reap_exactly},
    source::{SHARD, namespace, open, snapshot},
};
use crate::Store;

const INCARNATIONS: u64 = 4;
const SLOTS: usize = 6;

/// Tells both stores the same `steps` pushes, folds, trims and ticks of the age clock, chosen by `seed`, and panics,
/// naming the seed, where an answer or the contents differ in anything but clocks and random ids.
pub async fn both_decide_alike(one: &dyn Store, two: &dyn Store, seed: u64, steps: usize) {
    open(one).await;
    open(two).await;
    let mut random = Random(seed.wrapping_mul(2).wrapping_add(1));
    for step in 0..steps {
        let told = format!("seed {seed}, step {step}");
        match random.below(10) {
            0 | 1 => reap_both(one, two, &mut random, &told).await,
            2 => age_both(one, two, random.below(8), &told).await,
            _ => push_both(one, two, &mut random, &told).await,
        }
        let (left, right) = (comparable(&*snapshot(one).await), comparable(&*snapshot(two).await));
        assert_eq!(left, right, "{told}");
    }
}

async fn push_both(one: &dyn Store, two: &dyn Store, random: &mut Random, told: &str) {
    let known = snapshot(one).await;
    let push = random_push(random, &known);
    let names_epoch = random.below(3);
    let left = push_to(one, &push, names_epoch).await;
    let right = push_to(two, &push, names_epoch).await;
    assert_eq!(left, right, "{told}: {push:?}");
}

/// Pushes with no epoch, with the store's, or with another one; an epoch in the answer becomes 1.
async fn push_to(store: &dyn Store, push: &Push, names_epoch: u64) -> Answer {
    let epoch = snapshot(store).await.head.epoch.expect("the shard is open");
    let named = [None, Some(epoch), Some(Epoch(epoch.0 ^ 1))];
    let push = Push { epoch: named[usize::try_from(names_epoch).expect("below 3")], ..push.clone() };
    match store.push(&namespace(), &push).await.expect("the store is reachable") {
        Answer::Ok { epoch: answered } => {
            assert_eq!(answered, epoch);
            Answer::Ok { epoch: Epoch(1) }
        }
        answer => answer,
    }
}

async fn reap_both(one: &dyn Store, two: &dyn Store, random: &mut Random, told: &str) {
    let dead: Vec<_> = (1..=INCARNATIONS).filter(|_| random.below(3) == 0).map(Incarnation).collect();
    let is_late = random.below(8) == 0;
    let mut outcomes = Vec::new();
    for store in [one, two] {
        let due = reap_exactly(&*snapshot(store).await, &dead);
        let outcome = match due {
            Some(mut due) => {
                due.expected_version ^= u64::from(is_late);
                Some(commit(store, &due).await)
            }
            None => None,
        };
        outcomes.push(outcome);
    }
    assert_eq!(outcomes[0], outcomes[1], "{told}");
}

async fn age_both(one: &dyn Store, two: &dyn Store, by: u64, told: &str) {
    let age = snapshot(one).await.head.age;
    let expected = if by == 7 { Instant(age.0 + 1) } else { age };
    let mut outcomes = Vec::new();
    for store in [one, two] {
        let to = Instant(age.0 + by);
        outcomes.push(store.advance_age(&namespace(), SHARD, expected, to).await.expect("reachable"));
    }
    assert_eq!(outcomes[0], outcomes[1], "{told}");
}

fn random_push(random: &mut Random, known: &ShardSnapshot) -> Push {
    let incarnation = Incarnation(random.below(INCARNATIONS) + 1);
    let highest = known.records.get(&incarnation).map_or(Seq(0), |record| record.seq);
    let highest = highest.max(known.tombstones.get(&incarnation).map_or(Seq(0), |tomb| tomb.seq));
    let list = random_list(random);
    let descriptors = random_part(random, &list);
    Push {
        incarnation,
        seq: Seq((highest.0 + random.below(4)).saturating_sub(1).max(1)),
        acked: if random.below(3) == 0 { Seq(random.below(9)) } else { highest },
        epoch: None,
        worker: Arc::new(Worker { process: random.below(2).to_string(), ..Worker::default() }),
        payload: match random.below(4) {
            0 => Payload::Hello,
            1 => Payload::Unchanged,
            _ => Payload::Values(random_values(random, &list)),
        },
        base: (random.below(3) == 0).then(|| random_values(random, &list)),
        descriptors,
        ended: random.below(12) == 0,
    }
}

/// A beginning of one of two lists that part after their third slot.
fn random_list(random: &mut Random) -> DescriptorList {
    let is_other = random.below(8) == 0;
    let kinds = [Kind::Counter, Kind::Gauge(GaugeMode::Max), Kind::Gauge(GaugeMode::MostRecent)];
    let slot = |index: usize| {
        let help = if is_other && index >= 3 { "other" } else { "" };
        let labels = Labels::new([("slot", index.to_string())]);
        let unit = if index == 4 { "f".to_owned() } else { String::new() };
        Descriptor { unit, ..Descriptor::new(kinds[index % kinds.len()], "f", "f", labels, help) }
    };
    (0..SLOTS - usize::try_from(random.below(SLOTS as u64)).unwrap_or(0)).map(slot).collect()
}

fn random_part(random: &mut Random, list: &DescriptorList) -> DescriptorPart {
    let from = usize::try_from(random.below(list.len() as u64 + 1)).unwrap_or(0);
    let mut part = DescriptorPart::after(list, if random.below(3) == 0 { 0 } else { from });
    match random.below(20) {
        0 => part.hash = DescriptorHash(part.hash.0 ^ 1),
        1 => part.from_hash = DescriptorHash(part.from_hash.0 ^ 1),
        _ => {}
    }
    part
}

/// Sometimes more values than slots, which is refused.
fn random_values(random: &mut Random, list: &DescriptorList) -> Values {
    let count = if random.below(20) == 0 { list.len() + 1 } else { list.len() };
    let timestamped = list.iter().filter(|descriptor| descriptor.kind.is_timestamped()).count();
    Values {
        annotations: random_annotations(random, count),
        slots: (0..count).map(|_| random.below(1000) as f64 / 8.0).collect(),
        timestamps: (0..timestamped).map(|_| random.below(50) as f64).collect(),
    }
}

/// Half of the time none.
fn random_annotations(random: &mut Random, slots: usize) -> Annotations {
    let mut annotations = Annotations::default();
    if random.below(2) == 0 {
        return annotations;
    }
    annotations.created = (0..slots).map(|_| random.below(3) * 1_700_000_000_000 + random.below(9)).collect();
    for slot in 0..slots {
        let at = random.below(9);
        match random.below(6) {
            0 => drop(annotations.presence.insert(slot, Presence::Removed(at))),
            1 => drop(annotations.presence.insert(slot, Presence::Shown(at))),
            2 => {
                let labels = Labels::new([("trace_id", at.to_string())]);
                let exemplar = Exemplar { labels, value: 1.0, timestamp: random.below(9) as f64 };
                annotations.exemplars.insert(slot, Arc::new(exemplar));
            }
            _ => {}
        }
    }
    annotations
}

/// Without clocks and random ids.
fn comparable(snapshot: &ShardSnapshot) -> ShardSnapshot {
    let mut comparable = ShardSnapshot { now: Instant(0), ..snapshot.clone() };
    let head = &mut comparable.head;
    let epoch = head.epoch.take();
    (head.changed, head.settling, head.version) = (Instant(0), false, 0);
    for record in comparable.records.values_mut() {
        let epoch = Epoch(u64::from(Some(record.epoch) == epoch));
        *record = Arc::new(Record { seen: Instant(0), epoch, ..Record::clone(record) });
    }
    comparable
}

/// xorshift64*: the same numbers everywhere for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}
