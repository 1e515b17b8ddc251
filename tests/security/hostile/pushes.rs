//! Pushes of a pool of sources that follow the protocol, until something in them is changed.

use std::sync::Arc;

use metrifold_model::{
    Annotations, Descriptor, DescriptorList, Exemplar, Incarnation, Kind, Labels, Namespace, Presence, Seq,
    Values, Worker,
};
use metrifold_session::{DescriptorPart, Payload, Push};
use metrifold_wire::v1;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};

/// The counter of the honest application.
pub(super) const HONEST: &str = "honest_events_total";

const SOURCES: u64 = 300;
const NAMES: [&str; 8] = [
    "hostile",
    "hostile_sum",
    "a.b",
    "a_b",
    "",
    "honest_events",
    "honest_events_total",
    "honest\n# TYPE x counter\nx 1",
];
const LABEL_NAMES: [&str; 10] =
    ["path", "le", "pid", "host", "__name__", "__worker_zone", "", "quantile", "a b", "instance"];
const LABEL_VALUES: [&str; 7] = ["", "1", "+Inf", "NaN", "x\"} 1\ny 2", "\\", "\u{1f600}"];
const NUMBERS: [f64; 14] = [
    0.0,
    -0.0,
    1.0,
    7.5,
    -1e9,
    -1.0,
    1e308,
    f64::MAX,
    f64::MIN_POSITIVE,
    9_007_199_254_740_993.0,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    1.7e9,
];
const INTEGERS: [u64; 8] = [0, 1, 2, 1 << 32, 1 << 53, 1 << 62, u64::MAX - 1, u64::MAX];

pub(super) struct Pushes {
    random: StdRng,
    seqs: Vec<u64>,
}

impl Pushes {
    pub(super) fn new(seed: u64) -> Pushes {
        Pushes { random: StdRng::seed_from_u64(seed), seqs: vec![0; SOURCES as usize] }
    }

    pub(super) fn next(&mut self) -> v1::PushRequest {
        let source = self.random.random_range(0..SOURCES as usize);
        self.seqs[source] += 1;
        let list: DescriptorList = (0..self.random.random_range(0..6)).map(|_| self.descriptor()).collect();
        // A hello first, as the protocol wants it, and one now and then.
        let is_hello = self.seqs[source] == 1 || self.random.random_bool(0.1);
        let push = Push {
            incarnation: Incarnation(0xbad0_0000 + source as u64),
            seq: Seq(self.seqs[source]),
            acked: Seq(self.seqs[source] - 1),
            epoch: None,
            worker: Arc::new(Worker { process: source.to_string(), ..Worker::default() }),
            descriptors: DescriptorPart::after(&list, 0),
            payload: match self.random.random_range(0..10) {
                _ if is_hello => Payload::Hello,
                0 => Payload::Unchanged,
                _ => Payload::Values(self.values(&list)),
            },
            base: self.random.random_bool(0.05).then(|| self.values(&list)),
            ended: self.random.random_bool(0.05),
        };
        let mut message = metrifold_wire::request(&Namespace::default(), &push);
        for _ in 0..self.random.random_range(0..3) {
            self.spoil(&mut message);
        }
        message
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        *of.choose(&mut self.random).expect("not empty")
    }

    fn labels(&mut self, at_most: usize) -> Labels {
        let count = self.random.random_range(0..=at_most);
        Labels::new(
            (0..count).map(|_| (self.one(&LABEL_NAMES[..4]), self.one(&LABEL_VALUES))).collect::<Vec<_>>(),
        )
    }

    fn descriptor(&mut self) -> Descriptor {
        let family = self.one(&NAMES[..4]);
        let suffix = self.one(&["", "_total", "_bucket", "_sum", "_count", "_info"]);
        // Of the honest counter's name and kind a forged one would be believed, which is what tokens are for.
        let kind = self.one(&Kind::ALL);
        Descriptor::new(kind, family, format!("{family}{suffix}"), self.labels(3), "help \\ \n text")
    }

    fn values(&mut self, list: &DescriptorList) -> Values {
        let slots = list.iter().map(|_| f64::from(self.random.random_range(0..1_000))).collect();
        let stamped = list.iter().filter(|of| of.kind.is_timestamped()).count();
        let mut annotations = Annotations::default();
        if !list.is_empty() && self.random.random_bool(0.2) {
            let slot = self.random.random_range(0..list.len());
            annotations.presence.insert(slot, Presence::Removed(5));
            let exemplar = Exemplar { labels: self.labels(1), value: self.one(&NUMBERS), timestamp: 1.0 };
            annotations.exemplars.insert(slot, Arc::new(exemplar));
            annotations.created = vec![1_700_000_000_000; list.len()];
        }
        Values { slots, timestamps: vec![1.0; stamped], annotations }
    }

    /// Changes one thing.
    fn spoil(&mut self, message: &mut v1::PushRequest) {
        match self.random.random_range(0..13) {
            0 => message.seq = self.one(&INTEGERS),
            1 => message.acked = self.one(&INTEGERS),
            2 => message.epoch = self.one(&INTEGERS),
            3 => message.ended = !message.ended,
            4 => message.worker = self.random.random_bool(0.5).then(|| self.worker()),
            5 => message.payload = None,
            6 | 7 => self.spoil_descriptors(message),
            8 => {
                if let Some(part) = &mut message.descriptors {
                    (part.from, part.from_hash) = (self.one(&INTEGERS) as u32, self.one(&INTEGERS));
                }
            }
            9 => {
                let values = message.base.get_or_insert_default();
                self.spoil_values(values);
            }
            _ => {
                if let Some(v1::push_request::Payload::Values(values)) = &mut message.payload {
                    self.spoil_values(values);
                }
            }
        }
    }

    fn worker(&mut self) -> v1::Worker {
        let text = "w".repeat(self.one(&[0, 1, 300, 5_000]));
        let label = v1::Label { name: self.one(&LABEL_NAMES).into(), value: self.one(&LABEL_VALUES).into() };
        v1::Worker { instance: text.clone(), process: text, labels: vec![label; self.one(&[0, 1, 100])] }
    }

    fn spoil_descriptors(&mut self, message: &mut v1::PushRequest) {
        let Some(part) = &mut message.descriptors else { return };
        let Some(entry) = part.entries.first_mut() else { return };
        match self.random.random_range(0..7) {
            0 => entry.kind = self.random.random_range(-1..18),
            1 => entry.family = NAMES.choose(&mut self.random).copied().unwrap_or_default().into(),
            2 => entry.sample = NAMES.choose(&mut self.random).copied().unwrap_or_default().into(),
            3 => entry.help = "h".repeat(9_000),
            4 => entry.unit = "u".repeat(100),
            5 => {
                let name = LABEL_NAMES.choose(&mut self.random).copied().unwrap_or_default();
                let value = "v".repeat(*[1, 9_000].choose(&mut self.random).unwrap_or(&1));
                entry.labels.push(v1::Label { name: name.into(), value });
            }
            _ => part.hash ^= 1,
        }
        let is_forged = |entry: &v1::Descriptor| entry.kind == 1 && entry.family.starts_with("honest");
        part.entries.retain(|entry| !is_forged(entry));
        // The hash of what it says now, so that it is read and not just found to contradict itself.
        if self.random.random_bool(0.8)
            && let Ok((_, push)) = metrifold_wire::parse_request(message.clone(), &Namespace::default())
        {
            let list: DescriptorList = push.descriptors.entries.iter().cloned().collect();
            if let Some(part) = &mut message.descriptors {
                part.hash = list.hash().0;
            }
        }
    }

    fn spoil_values(&mut self, values: &mut v1::Values) {
        match self.random.random_range(0..8) {
            0 => values.slots = self.column(),
            1 => values.timestamps = self.column(),
            2 => values.timestamps = vec![0; 8 * 300_000],
            3 => values.slots.truncate(values.slots.len().saturating_sub(3)),
            4 => values.created = vec![self.one(&INTEGERS); self.one(&[1, 3, 1_000])],
            5 => {
                let (slot, at) = (self.one(&INTEGERS) as u32, self.one(&INTEGERS));
                values.presence.push(v1::Presence { slot, is_removed: true, at });
            }
            6 => {
                let label =
                    v1::Label { name: self.one(&LABEL_NAMES).into(), value: "x".repeat(self.one(&[1, 500])) };
                let (value, timestamp) = (self.one(&NUMBERS), self.one(&NUMBERS));
                let slot = self.one(&INTEGERS) as u32;
                let exemplar = v1::Exemplar { slot, labels: vec![label], value, timestamp };
                values.exemplars.extend(vec![exemplar; self.one(&[1, 2_000])]);
            }
            _ => values.created_since = self.one(&INTEGERS),
        }
    }

    fn column(&mut self) -> Vec<u8> {
        let count = self.random.random_range(0..6);
        (0..count).flat_map(|_| self.one(&NUMBERS).to_le_bytes()).collect()
    }
}
