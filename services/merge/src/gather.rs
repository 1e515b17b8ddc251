//! From shards to the merged column: which values of which source count.

use std::collections::HashMap;

use metrifold_model::{
    Annotations, Descriptor, DescriptorList, DoubleDouble, HOST_LABEL, Incarnation, Kind, Labels, MergeMode,
    SeriesKey, Values, Worker,
};
use metrifold_session::{Archived, Instant, Record, ShardSnapshot, Tombstone, is_dead};

use crate::{
    ConflictReason, MergeOptions, Sources,
    combine::{self, Merged},
    conflict::Conflicts,
    grouping,
    help::{HelpAge, Helps},
    names,
    table::{Plan, PlannedSlot, SeriesIndex, Table},
};

/// One merge under way, over shards that live for `'a`.
pub(crate) struct Gather<'a, 't> {
    pub(crate) options: &'t MergeOptions,
    pub(crate) table: &'t mut Table,
    pub(crate) helps: Helps,
    pub(crate) units: Helps,
    pub(crate) conflicts: Conflicts,
    pub(crate) sources: Sources,
    /// Who is shown in the series of single workers. Of several workers with the same labels it is a living one, and of
    /// those the one with the highest incarnation.
    own: HashMap<SeriesIndex, Owner<'a>>,
}

/// The worker that a per-worker series belongs to.
#[derive(Clone, Copy)]
struct Owner<'a> {
    is_live: bool,
    incarnation: Incarnation,
    worker: &'a Worker,
    /// Live workers of other hosts would have the same series.
    is_shared: bool,
}

/// One slot of a source.
#[derive(Clone, Copy)]
struct Slot {
    plan: PlannedSlot,
    index: usize,
    value: f64,
    /// 0 if the slot's kind has none.
    timestamp: f64,
}

/// The slots that have values, in order.
fn slots(plan: &[PlannedSlot], values: &Values) -> impl Iterator<Item = Slot> {
    let mut timestamps = values.timestamps.iter().copied();
    plan.iter().zip(&values.slots).enumerate().map(move |(index, (plan, value))| {
        let timestamp = if plan.is_timestamped { timestamps.next().unwrap_or(0.0) } else { 0.0 };
        Slot { plan: *plan, index, value: *value, timestamp }
    })
}

impl<'a, 't> Gather<'a, 't> {
    pub(crate) fn new(options: &'t MergeOptions, table: &'t mut Table) -> Self {
        table.clear_column();
        Gather {
            options,
            table,
            helps: Helps::default(),
            units: Helps::default(),
            conflicts: Conflicts::default(),
            sources: Sources::default(),
            own: HashMap::new(),
        }
    }

    /// Merges one shard, the one at `place` among the shards.
    pub(crate) fn shard(&mut self, place: usize, shard: &'a ShardSnapshot) {
        for (part, reason) in &shard.unreadable {
            self.conflicts.count(&part.to_string(), ConflictReason::Unreadable(reason.to_string()), 1);
        }
        self.archive(place, shard);
        for (incarnation, record) in &shard.records {
            self.record(*incarnation, record, shard.now);
        }
        for (incarnation, tombstone) in &shard.tombstones {
            // A tombstone's gauges count only while no record of that incarnation lives.
            if !shard.records.contains_key(incarnation) {
                self.tombstone(*incarnation, tombstone, shard.head.age);
            }
        }
    }

    /// Names the series that several workers would have, leaves out sums that overflowed, and facts that nobody states.
    pub(crate) fn finish(&mut self) {
        for (series, owner) in self.own.drain().filter(|(_, owner)| owner.is_shared) {
            let reason = ConflictReason::SharedPid(owner.worker.process.clone());
            self.conflicts.count(&self.table.series[series].key.family, reason, 1);
        }

        for (series, cell) in self.table.series.iter().zip(&mut self.table.column) {
            let is_sum = matches!(cell, Some(Merged::Sum(_) | Merged::Huge(_)));
            if is_sum && !cell.is_some_and(|cell| cell.value().is_finite()) {
                *cell = None;
                let reason = ConflictReason::NotFinite(series.key.sample.clone());
                self.conflicts.count(&series.key.family, reason, 1);
            }
            if series.key.kind == Kind::Info && !cell.is_some_and(|cell| cell.value() > 0.0) {
                *cell = None;
            }
        }
    }

    fn archive(&mut self, place: usize, shard: &ShardSnapshot) {
        let plan = self.table.archive(place, &shard.archive, self.options);
        for (series, value) in &plan.values {
            match *value {
                Archived::Sum(sum) => self.add(*series, sum),
                Archived::Min(value) => self.offer(*series, MergeMode::Min, value, 0.0),
                Archived::Max(value) => self.offer(*series, MergeMode::Max, value, 0.0),
                Archived::MostRecent { value, timestamp } => {
                    self.offer(*series, MergeMode::MostRecent, value, timestamp);
                }
            }
        }
        plan.created.iter().for_each(|(group, created)| self.table.begin(*group, *created));
        plan.exemplars.iter().for_each(|(series, exemplar)| self.table.exemplify(*series, exemplar));
        self.helps.offer(HelpAge::Archive, &plan.helps);
        self.units.offer(HelpAge::Archive, &plan.units);
    }

    fn record(&mut self, incarnation: Incarnation, record: &'a Record, now: Instant) {
        let is_live = !is_dead(record, now, self.options.ttl);
        let owner = Owner { is_live, incarnation, worker: &record.worker, is_shared: false };
        let plan = self.table.plan(&record.descriptors, &record.worker, self.options);
        if is_live {
            self.table.note_living(&plan);
        }
        let annotations = &record.values.annotations;
        for slot in slots(&plan.slots, &record.values) {
            if slot.plan.ends_with_worker && !is_live {
                continue;
            }
            match slot.plan.mode {
                MergeMode::Sum => {
                    let base = if slot.plan.ends_with_worker { 0.0 } else { record.base.slot(slot.index) };
                    self.add(slot.plan.series, DoubleDouble::difference(slot.value, base));
                    self.table.begin(slot.plan.group, annotations.created(slot.index));
                }
                _ if annotations.is_removed(slot.index) => {}
                mode => self.gauge(mode, slot, &record.descriptors, owner),
            }
        }
        self.exemplars(&plan, annotations, record.values.slots.len(), is_live);
        let (count, age) = match is_live {
            true => (&mut self.sources.live, HelpAge::Live(incarnation)),
            false => (&mut self.sources.dead, HelpAge::Dead(incarnation)),
        };
        *count += 1;
        self.helps.offer(age, &plan.helps);
        self.units.offer(age, &plan.units);
    }

    /// A folded source: its sums are in the archive, its gauges count until they are trimmed.
    fn tombstone(&mut self, incarnation: Incarnation, tombstone: &'a Tombstone, age: Instant) {
        let is_retained = age.since(tombstone.folded) <= self.options.gauge_retention;
        let owner = Owner { is_live: false, incarnation, worker: &tombstone.worker, is_shared: false };
        let plan = self.table.plan(&tombstone.descriptors, &tombstone.worker, self.options);
        for slot in slots(&plan.slots, &tombstone.values) {
            let is_over = slot.plan.mode == MergeMode::PerWorker && !is_retained;
            let is_gone = is_over || tombstone.values.annotations.is_removed(slot.index);
            if slot.plan.mode != MergeMode::Sum && !slot.plan.ends_with_worker && !is_gone {
                self.gauge(slot.plan.mode, slot, &tombstone.descriptors, owner);
            }
        }
        self.sources.folded += 1;
        let age = HelpAge::Tombstone { folded: tombstone.folded, incarnation };
        self.helps.offer(age, &plan.helps);
        self.units.offer(age, &plan.units);
    }

    /// The exemplars of a source's first `slots` slots. One that is not sound is left out and named.
    fn exemplars(&mut self, plan: &Plan, annotations: &Annotations, slots: usize, is_live: bool) {
        for (index, exemplar) in annotations.exemplars.range(..slots) {
            let Some(slot) = plan.slots.get(*index) else { break };
            let is_over = slot.ends_with_worker && !is_live;
            let Some(series) = self.table.series.get(slot.series).filter(|_| !is_over) else { continue };
            if !names::takes_exemplars(&series.key) {
                continue;
            }
            if exemplar.is_sound() {
                self.table.exemplify(slot.series, exemplar);
            } else {
                let reason = ConflictReason::Exemplar(series.key.sample.clone());
                self.conflicts.count(&series.key.family, reason, 1);
            }
        }
    }

    fn gauge(&mut self, mode: MergeMode, slot: Slot, descriptors: &DescriptorList, owner: Owner<'a>) {
        match mode {
            MergeMode::PerWorker => self.own_value(&descriptors.entries()[slot.index], slot.value, owner),
            mode => self.offer(slot.plan.series, mode, slot.value, slot.timestamp),
        }
    }

    fn own_value(&mut self, descriptor: &Descriptor, value: f64, owner: Owner<'a>) {
        let labels = self.own_labels(&descriptor.labels, owner.worker);
        let series = self.table.index(SeriesKey { labels, ..descriptor.key() });
        let shown = self.own.entry(series).or_insert(owner);
        let is_shared = shown.is_live && owner.is_live && shown.worker.instance != owner.worker.instance;
        shown.is_shared |= is_shared;
        if (owner.is_live, owner.incarnation) < (shown.is_live, shown.incarnation) {
            return;
        }
        *shown = Owner { is_shared: shown.is_shared, ..owner };
        self.table.column[series] = Some(Merged::Gauge(value));
    }

    fn own_labels(&self, labels: &Labels, worker: &Worker) -> Labels {
        let mut labels = grouping::of_worker(labels, &worker.labels_of(&self.options.group_by));
        labels.set("pid", worker.process.as_str());
        if self.options.host_label {
            labels.set(HOST_LABEL, worker.instance.as_str());
        }
        labels
    }

    /// Adds to a sum. What is not finite is left out and named.
    fn add(&mut self, series: SeriesIndex, addend: DoubleDouble) {
        if !combine::add(&mut self.table.column[series], addend) {
            let key = &self.table.series[series].key;
            self.conflicts.count(&key.family, ConflictReason::NotFinite(key.sample.clone()), 1);
        }
    }

    fn offer(&mut self, series: SeriesIndex, mode: MergeMode, value: f64, timestamp: f64) {
        combine::offer(&mut self.table.column[series], mode, value, timestamp);
    }
}
