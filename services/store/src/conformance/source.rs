//! A source whose every push a test decides.

use std::{sync::Arc, time::Duration};

use metrifold_model::{
    Descriptor, DescriptorHash, DescriptorList, Epoch, Incarnation, Kind, Labels, Namespace, Seq, Values,
    Worker,
};
use metrifold_session::{Answer, Archived, DescriptorPart, Payload, Push, ShardSnapshot};

use crate::{ShardIndex, Store};

/// The only shard of these tests.
pub(super) const SHARD: ShardIndex = ShardIndex(0);

pub(super) fn namespace() -> Namespace {
    Namespace::default()
}

/// Makes pushes of one source.
#[derive(Clone, Debug)]
pub struct TestSource {
    /// The next push.
    pub push: Push,
    list: DescriptorList,
}

impl TestSource {
    /// A source of one counter that has pushed nothing yet.
    pub fn new(incarnation: u64) -> Self {
        let list = counters(1);
        let push = Push {
            incarnation: Incarnation(incarnation),
            seq: Seq(0),
            acked: Seq(0),
            epoch: None,
            worker: Arc::new(Worker {
                instance: "host".into(),
                process: "1".into(),
                labels: Labels::default(),
            }),
            descriptors: DescriptorPart::after(&list, 0),
            payload: Payload::Hello,
            base: None,
            ended: false,
        };
        TestSource { push, list }
    }

    /// Says hello, then pushes `value`; panics unless both are stored.
    pub async fn greet(incarnation: u64, store: &dyn Store, value: f64) -> Self {
        let mut source = TestSource::new(incarnation);
        source.send_ok(store, Payload::Hello).await;
        source.send_ok(store, values(&[value])).await;
        source
    }

    /// Sends the next push; after an `ok`, later ones build on it.
    pub async fn send(&mut self, store: &dyn Store, payload: Payload) -> Answer {
        self.push.seq = self.push.seq.next();
        self.push.payload = payload;
        self.again(store).await
    }

    /// Sends the last push once more.
    pub async fn again(&mut self, store: &dyn Store) -> Answer {
        let answer = store.push(&namespace(), &self.push).await.expect("the store is reachable");
        if let Answer::Ok { epoch } = answer {
            self.push.epoch = Some(epoch);
            self.push.acked = self.push.seq;
            self.push.descriptors = DescriptorPart::after(&self.list, self.list.len());
        }
        answer
    }

    /// Sends the next push and panics unless it is stored. Returns the epoch.
    pub async fn send_ok(&mut self, store: &dyn Store, payload: Payload) -> Epoch {
        match self.send(store, payload).await {
            Answer::Ok { epoch } => epoch,
            answer => panic!("push {:?} was answered {answer:?}", self.push),
        }
    }
}

/// A list of so many counters.
pub(super) fn counters(count: usize) -> DescriptorList {
    let counter = |index| {
        Descriptor::new(Kind::Counter, format!("c{index}"), format!("c{index}_total"), Labels::default(), "")
    };
    (0..count).map(counter).collect()
}

pub(super) fn values(slots: &[f64]) -> Payload {
    Payload::Values(Values::from_slots(slots.to_vec()))
}

/// A part that fits nothing.
pub(super) fn unfitting() -> DescriptorPart {
    DescriptorPart {
        from: 1,
        from_hash: DescriptorHash(99),
        entries: counters(1).entries().to_vec(),
        hash: DescriptorHash(7),
    }
}

/// Opens the store's only shard, if it does not open by itself, and waits for nothing.
pub async fn open(store: &dyn Store) {
    if snapshot(store).await.head.epoch.is_none() {
        store.restore(&namespace(), SHARD, None, Duration::ZERO).await.expect("the store is reachable");
    }
    assert!(!snapshot(store).await.head.sealed, "the shard did not open");
}

/// A snapshot of the store's only shard.
pub async fn snapshot(store: &dyn Store) -> Arc<ShardSnapshot> {
    store.snapshot(&namespace(), SHARD).await.expect("the store is reachable")
}

/// What a scrape would show for the first counter: the archive, and what every record adds to it.
pub fn total(snapshot: &ShardSnapshot) -> f64 {
    let archived: f64 = snapshot
        .archive
        .series
        .iter()
        .filter(|(key, _)| key.family == "c0")
        .map(|(_, series)| match series.value {
            Archived::Sum(sum) => sum.round(),
            other => panic!("a counter was archived as {other:?}"),
        })
        .sum();
    let living = snapshot.records.values().filter(|record| !record.values.slots.is_empty());
    archived + living.map(|record| record.values.slot(0) - record.base.slot(0)).sum::<f64>()
}
