//! What a scrape costs: 256 workers of 1,000 series each, of which 100 are one histogram's, over a full archive.

use std::{hint::black_box, sync::Arc};

use criterion::{Criterion, criterion_group, criterion_main};
use metrifold_merge::{MergeOptions, Merger, merge};
use metrifold_model::{Descriptor, DescriptorList, Epoch, Incarnation, Kind, Labels, Seq, Values, Worker};
use metrifold_session::{Instant, ReapPolicy, Record, ShardHead, ShardSnapshot, reap};

const WORKERS: u64 = 256;
const SERIES: usize = 1_000;
const BUCKETS: usize = 100;

fn descriptors() -> DescriptorList {
    let bucket = |bound: usize| {
        Descriptor::new(
            Kind::Histogram,
            "seconds",
            "seconds_bucket",
            Labels::new([("le", bound.to_string())]),
            "",
        )
    };
    let counter = |index: usize| {
        let labels = Labels::new([("path", format!("/items/{index}")), ("verb", "GET".into())]);
        Descriptor::new(Kind::Counter, "requests", "requests_total", labels, "Requests")
    };
    (0..BUCKETS).map(bucket).chain((BUCKETS..SERIES).map(counter)).collect()
}

fn shard() -> ShardSnapshot {
    let descriptors = descriptors();
    let record = |worker: u64| Record {
        seq: Seq(2),
        epoch: Epoch(1),
        seen: Instant(1_000),
        worker: Arc::new(Worker::default()),
        descriptors: descriptors.clone(),
        values: Values::from_slots((0..SERIES).map(|slot| (slot as u64 * worker) as f64).collect()),
        base: Values::default(),
        // One of them is folded, so that the archive knows every series.
        ended: worker == 0,
    };
    let mut shard = ShardSnapshot {
        head: ShardHead::open(Epoch(1)),
        now: Instant(1_000),
        records: (0..=WORKERS).map(|worker| (Incarnation(worker), Arc::new(record(worker)))).collect(),
        ..ShardSnapshot::default()
    };
    let commit = reap(&shard, &ReapPolicy::default()).expect("one has ended");
    assert!(commit.apply(&mut shard, 1));
    shard
}

fn benches(criterion: &mut Criterion) {
    let shards = [Arc::new(shard())];
    let options = MergeOptions::default();
    let mut merger = Merger::new(options.clone());
    assert_eq!(merger.merge(&shards), merge(&shards, &options));
    criterion.bench_function("merge 256 workers x 1000 series, remembered", |bencher| {
        bencher.iter(|| merger.merge(black_box(&shards)));
    });
    criterion.bench_function("merge 256 workers x 1000 series, from nothing", |bencher| {
        bencher.iter(|| merge(black_box(&shards), &options));
    });
}

criterion_group!(group, benches);
criterion_main!(group);
