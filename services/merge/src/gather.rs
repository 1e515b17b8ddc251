//! From shards to the table: which values of which source count.

use std::{collections::HashMap, sync::Arc};

use metrifold_model::{
    Descriptor, DescriptorList, DoubleDouble, Incarnation, Labels, MergeMode, SeriesKey, Values, Worker,
};
use metrifold_session::{Archived, Instant, Record, ShardSnapshot, Tombstone, is_dead};

use crate::{MergeOptions, View, families, table::Table};

/// Merges all shards of a namespace into one view.
pub fn merge(shards: &[Arc<ShardSnapshot>], options: &MergeOptions) -> View {
    let mut gather = Gather { options, table: Table::default(), own: HashMap::new() };
    for shard in shards {
        gather.archive(shard);
    }
    gather.describe(shards);
    for shard in shards {
        for (incarnation, record) in &shard.records {
            gather.record(*incarnation, record, shard.now);
        }
        for (incarnation, tombstone) in &shard.tombstones {
            if !shard.records.contains_key(incarnation) {
                gather.tombstone(*incarnation, tombstone, shard.head.age);
            }
        }
    }
    gather.own_series();
    families::view(gather.table)
}

struct Gather<'a> {
    options: &'a MergeOptions,
    table: Table,
    /// Series of single workers, by their key with the worker's labels. Two workers may have one pid on two hosts: the
    /// living one is shown, then the one with the higher incarnation.
    own: HashMap<SeriesKey, OwnValue>,
}

/// A worker's own value and its rank among those with the same labels.
#[derive(Clone, Copy)]
struct OwnValue {
    is_live: bool,
    incarnation: Incarnation,
    value: f64,
}

/// One slot of a source, with the time stamp if its kind has one.
struct Slot<'a> {
    descriptor: &'a Descriptor,
    index: usize,
    value: f64,
    timestamp: f64,
}

/// The slots that have values, in order.
fn slots<'a>(descriptors: &'a DescriptorList, values: &'a Values) -> impl Iterator<Item = Slot<'a>> {
    let mut timestamps = values.timestamps.iter().copied();
    descriptors.iter().zip(&values.slots).enumerate().map(move |(index, (descriptor, value))| {
        let timestamp = if descriptor.kind.is_timestamped() { timestamps.next().unwrap_or(0.0) } else { 0.0 };
        Slot { descriptor, index, value: *value, timestamp }
    })
}

impl Gather<'_> {
    fn archive(&mut self, shard: &ShardSnapshot) {
        for (key, series) in &shard.archive.series {
            let Some(index) = self.table.index(key.clone()) else { continue };
            match series.value {
                Archived::Sum(sum) => self.table.add(index, sum),
                Archived::Min(value) | Archived::Max(value) => self.table.offer(index, value, 0.0),
                Archived::MostRecent { value, timestamp } => self.table.offer(index, value, timestamp),
            }
            self.table.help.insert(key.family.clone(), series.help.clone());
        }
    }

    /// Help texts: a source's replaces the archive's; of several sources the highest incarnation's stands. (By time of
    /// the last push it would change from scrape to scrape while two versions of a program run.)
    fn describe(&mut self, shards: &[Arc<ShardSnapshot>]) {
        let tombstones =
            shards.iter().flat_map(|shard| &shard.tombstones).map(|(id, tomb)| (*id, &tomb.descriptors));
        let records =
            shards.iter().flat_map(|shard| &shard.records).map(|(id, record)| (*id, &record.descriptors));
        let mut lists: HashMap<_, (Incarnation, &DescriptorList)> = HashMap::new();
        for (incarnation, list) in tombstones.chain(records) {
            let newest = lists.entry((list.len(), list.hash())).or_insert((incarnation, list));
            newest.0 = newest.0.max(incarnation);
        }
        let mut lists: Vec<_> = lists.into_values().collect();
        lists.sort_by_key(|(incarnation, _)| *incarnation);
        for descriptor in lists.into_iter().flat_map(|(_, list)| list.iter()) {
            if self.table.help.get(&descriptor.family) != Some(&descriptor.help) {
                self.table.help.insert(descriptor.family.clone(), descriptor.help.clone());
            }
        }
    }

    fn record(&mut self, incarnation: Incarnation, record: &Record, now: Instant) {
        let is_live = !is_dead(record, now, self.options.ttl);
        let indices = self.table.resolve(&record.descriptors);
        for slot in slots(&record.descriptors, &record.values) {
            let ends_with_worker = slot.descriptor.kind.is_live() || slot.descriptor.per_worker;
            if ends_with_worker && !is_live {
                continue;
            }
            let Some(series) = indices[slot.index] else { continue };
            match slot.descriptor.kind.merge_mode() {
                MergeMode::Sum => {
                    let base = if ends_with_worker { 0.0 } else { record.base.slot(slot.index) };
                    self.table.add(series, DoubleDouble::difference(slot.value, base));
                }
                MergeMode::PerWorker => self.own_value(&slot, &record.worker, incarnation, is_live),
                MergeMode::Min | MergeMode::Max | MergeMode::MostRecent => {
                    self.table.offer(series, slot.value, slot.timestamp);
                }
            }
        }
    }

    /// A folded source: its sums are in the archive, its gauges count until they are trimmed.
    fn tombstone(&mut self, incarnation: Incarnation, tombstone: &Tombstone, age: Instant) {
        let is_retained = age.since(tombstone.folded) <= self.options.gauge_retention;
        let indices = self.table.resolve(&tombstone.descriptors);
        for slot in slots(&tombstone.descriptors, &tombstone.values) {
            if slot.descriptor.kind.is_live() || slot.descriptor.per_worker {
                continue;
            }
            let Some(series) = indices[slot.index] else { continue };
            match slot.descriptor.kind.merge_mode() {
                MergeMode::Sum => {}
                MergeMode::PerWorker if is_retained => {
                    self.own_value(&slot, &tombstone.worker, incarnation, false);
                }
                MergeMode::PerWorker => {}
                MergeMode::Min | MergeMode::Max | MergeMode::MostRecent => {
                    self.table.offer(series, slot.value, slot.timestamp);
                }
            }
        }
    }

    fn own_value(&mut self, slot: &Slot<'_>, worker: &Worker, incarnation: Incarnation, is_live: bool) {
        let key =
            SeriesKey { labels: self.own_labels(&slot.descriptor.labels, worker), ..slot.descriptor.key() };
        let candidate = OwnValue { is_live, incarnation, value: slot.value };
        let shown = self.own.entry(key).or_insert(candidate);
        if (candidate.is_live, candidate.incarnation) > (shown.is_live, shown.incarnation) {
            *shown = candidate;
        }
    }

    fn own_labels(&self, labels: &Labels, worker: &Worker) -> Labels {
        let mut labels = labels.clone();
        labels.set("pid", worker.process.as_str());
        if self.options.host_label {
            labels.set("host", worker.instance.as_str());
        }
        labels
    }

    fn own_series(&mut self) {
        for (key, shown) in std::mem::take(&mut self.own) {
            if let Some(index) = self.table.index(key) {
                self.table.offer(index, shown.value, 0.0);
            }
        }
    }
}
