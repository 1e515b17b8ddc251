//! What a merger remembers never shows: after any history its views are those of a merge without memory, whichever way
//! round the shards come, and every line stands once.

use std::{collections::HashSet, sync::Arc};

use metrifold_merge::{MergeOptions, Merger, View, merge};
use metrifold_model::{
    Descriptor, DescriptorList, Epoch, GaugeMode, Incarnation, Kind, Labels, Seq, Values, Worker,
};
use metrifold_session::{Instant, ReapPolicy, Record, ShardHead, ShardSnapshot, reap};
use proptest::prelude::*;

const SHARDS: usize = 2;
const WORKERS: u64 = 6;

/// One thing that happens to a namespace.
#[derive(Clone, Debug)]
enum Change {
    /// A worker pushes these slots of the universe, in this order.
    Push { worker: u64, slots: Vec<usize>, values: Vec<f64> },
    /// A worker ends.
    End { worker: u64 },
    /// Time passes on the stores' clocks and on the age clocks, and what is due is folded and trimmed.
    Pass { milliseconds: u64 },
    /// The shards are emptied.
    Wipe,
}

/// Every kind, conflicting types, modes and help, names that cannot be shown, two texts of one bound.
fn universe() -> Vec<Descriptor> {
    let labels = |name: &str, value: &str| Labels::new([(name, value)]);
    let gauge = |mode, name: &str| Descriptor::new(Kind::Gauge(mode), name, name, labels("a", "1"), "");
    let bucket = |le| Descriptor::new(Kind::Histogram, "h", "h_bucket", labels("le", le), "");
    let counter = |name: &str, help: &str| {
        Descriptor::new(Kind::Counter, name, format!("{name}_total"), Labels::default(), help)
    };
    let gauges = Kind::ALL.into_iter().filter(|kind| matches!(kind, Kind::Gauge(_)));
    let mut universe: Vec<Descriptor> = gauges
        .map(|kind| Descriptor::new(kind, kind.region_name(), kind.region_name(), Labels::default(), "g"))
        .collect();
    universe.extend([
        counter("c", "old"),
        counter("c", "new"),
        counter("h_count", "clashes with the histogram"),
        counter("", ""),
        counter("any name", ""),
        Descriptor { per_worker: true, ..counter("own", "") },
        bucket("1"),
        bucket("1.0"),
        bucket("0.5"),
        bucket("+Inf"),
        bucket("wide"),
        Descriptor::new(Kind::Histogram, "h", "h_sum", Labels::default(), ""),
        Descriptor::new(Kind::Histogram, "h", "h_sum", labels("le", "1"), ""),
        Descriptor::new(Kind::Summary, "s", "s_sum", labels("x", "y"), ""),
        Descriptor::new(Kind::Summary, "s", "s_count", labels("x", "y"), ""),
        gauge(GaugeMode::All, "c"),
        gauge(GaugeMode::Max, "m"),
        gauge(GaugeMode::Min, "m"),
        gauge(GaugeMode::All, "m"),
    ]);
    universe
}

/// Sums do not depend on order as long as they fit into 106 bits, so finite values stay within a sensible range.
fn value() -> impl Strategy<Value = f64> {
    let special = proptest::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0]);
    prop_oneof![8 => (0u32..1_000).prop_map(f64::from), 4 => -1e3f64..1e6, 1 => special]
}

fn change() -> impl Strategy<Value = Change> {
    let count = universe().len();
    let push =
        (0..WORKERS, proptest::collection::vec((0..count, value()), 0..count)).prop_map(|(worker, rows)| {
            let (slots, values) = rows.into_iter().unzip();
            Change::Push { worker, slots, values }
        });
    prop_oneof![
        6 => push,
        2 => (0..WORKERS).prop_map(|worker| Change::End { worker }),
        3 => (1u64..400_000).prop_map(|milliseconds| Change::Pass { milliseconds }),
        1 => (86_000_000u64..90_000_000).prop_map(|milliseconds| Change::Pass { milliseconds }),
        1 => Just(Change::Wipe),
    ]
}

struct World {
    shards: Vec<ShardSnapshot>,
    seq: u64,
}

impl World {
    fn new() -> World {
        let head = ShardHead::open(Epoch(1));
        let shard = ShardSnapshot { head, now: Instant(1_000), ..ShardSnapshot::default() };
        World { shards: vec![shard; SHARDS], seq: 0 }
    }

    fn happen(&mut self, change: &Change) {
        match change {
            Change::Push { worker, slots, values } => self.push(*worker, slots, values),
            Change::End { worker } => self.end(*worker),
            Change::Pass { milliseconds } => self.pass(*milliseconds),
            Change::Wipe => *self = World::new(),
        }
    }

    fn shard(&mut self, worker: u64) -> &mut ShardSnapshot {
        &mut self.shards[worker as usize % SHARDS]
    }

    fn push(&mut self, worker: u64, slots: &[usize], values: &[f64]) {
        self.seq += 1;
        let seq = Seq(self.seq);
        let universe = universe();
        let descriptors: DescriptorList = slots.iter().map(|slot| universe[*slot].clone()).collect();
        let stamps = slots.iter().zip(values).filter(|(slot, _)| universe[**slot].kind.is_timestamped());
        let timestamps = stamps.map(|(_, value)| value.abs()).collect();
        let shard = self.shard(worker);
        let base = shard.tombstones.get(&Incarnation(worker)).map(|tomb| tomb.values.clone());
        let record = Record {
            seq,
            epoch: Epoch(1),
            seen: shard.now,
            worker: Arc::new(Worker {
                instance: format!("host{}", worker % 2),
                // Workers of two hosts share their pids.
                process: (worker / 2).to_string(),
                ..Worker::default()
            }),
            descriptors,
            values: Values::new(values.to_vec(), timestamps),
            base: base.unwrap_or_default(),
            ended: false,
        };
        shard.records.insert(Incarnation(worker), Arc::new(record));
    }

    fn end(&mut self, worker: u64) {
        if let Some(record) = self.shard(worker).records.get_mut(&Incarnation(worker)) {
            *record = Arc::new(Record { ended: true, ..Record::clone(record) });
        }
    }

    fn pass(&mut self, milliseconds: u64) {
        for shard in &mut self.shards {
            shard.now.0 += milliseconds;
            shard.head.age.0 += milliseconds;
            if let Some(commit) = reap(shard, &ReapPolicy::default()) {
                assert!(commit.apply(shard, shard.head.version + 1));
            }
        }
    }

    fn snapshots(&self) -> Vec<Arc<ShardSnapshot>> {
        self.shards.iter().cloned().map(Arc::new).collect()
    }
}

fn lines(view: &View) -> impl Iterator<Item = (&str, &Labels)> {
    view.families.iter().flat_map(|family| family.samples()).map(|sample| (sample.name, sample.labels))
}

proptest! {
    #[test]
    fn a_merger_with_any_history_shows_what_a_merge_without_memory_shows(
        changes in proptest::collection::vec(change(), 1..24),
        host_label in any::<bool>(),
    ) {
        let options = MergeOptions { host_label, ..MergeOptions::default() };
        let mut merger = Merger::new(options.clone());
        let mut world = World::new();
        for change in &changes {
            world.happen(change);
            let mut snapshots = world.snapshots();
            let fresh = merge(&snapshots, &options);
            prop_assert_eq!(&merger.merge(&snapshots), &fresh, "after {:?}", change);
            let distinct: HashSet<_> = lines(&fresh).collect();
            prop_assert_eq!(distinct.len(), lines(&fresh).count(), "a line stands twice");
            prop_assert!(fresh.families.is_sorted_by(|one, two| one.name < two.name));
            prop_assert!(fresh.conflicts.is_sorted_by(|one, two| one.cause() < two.cause()));
            snapshots.reverse();
            prop_assert_eq!(&merge(&snapshots, &options), &fresh, "shards the other way round");
        }
    }
}

#[test]
fn what_is_gone_is_forgotten() {
    let options = MergeOptions::default();
    let mut merger = Merger::new(options.clone());
    for generation in 0..40 {
        let mut world = World::new();
        let names = (0..200).map(|index| format!("g{generation}_{index}"));
        let descriptors: DescriptorList = names
            .map(|name| Descriptor::new(Kind::Counter, &name, format!("{name}_total"), Labels::default(), ""))
            .collect();
        world.push(1, &[], &[]);
        let record = world.shard(1).records.get_mut(&Incarnation(1)).expect("just pushed");
        let values = Values::from_slots(vec![1.0; descriptors.len()]);
        *record = Arc::new(Record { descriptors, values, ..Record::clone(record) });
        assert_eq!(merger.merge(&world.snapshots()), merge(&world.snapshots(), &options));
    }
    let remembered: usize = format!("{merger:?}")
        .chars()
        .filter(char::is_ascii_digit)
        .collect::<String>()
        .parse()
        .expect("the number of series");
    assert!(remembered <= 2 * 200 + 1_024, "{remembered} series of 8000 that ever lived");
}
