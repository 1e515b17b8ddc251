//! The slots of a registry over its life.

use std::collections::HashMap;

use metrifold_model::{
    Descriptor, DescriptorList, Kind, Labels, MergeMode, Presence, SeriesKey, Values, limits,
};
use prometheus::proto::{Metric, MetricFamily};

use super::{
    GaugeModes, LeftOut, Reason,
    flatten::{self, Shown},
    left_out::LeftOuts,
};

/// A registry's slots: append-only descriptors, and values that never fall where they must not.
#[derive(Debug, Default)]
pub struct Snapshot {
    modes: GaugeModes,
    descriptors: DescriptorList,
    values: Values,
    /// Per slot, what former lives of its series counted.
    carries: Vec<f64>,
    /// Per slot, its place among the time stamps, if it has one.
    stamps: Vec<Option<usize>>,
    by_key: HashMap<SeriesKey, usize>,
    metrics: HashMap<MetricKey, MetricState>,
    left_out: LeftOuts,
    gathers: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct MetricKey {
    name: String,
    kind: Kind,
    labels: Labels,
}

/// One metric of the registry, which may have several slots.
#[derive(Debug)]
struct MetricState {
    slots: Vec<usize>,
    /// What it showed last, NaN and infinities left out.
    shown: Shown,
    /// The last gather that had it.
    gather: u64,
}

impl Snapshot {
    /// An empty snapshot, whose gauges will have these modes.
    pub fn new(modes: GaugeModes) -> Self {
        Snapshot { modes, ..Snapshot::default() }
    }

    /// Takes over what a registry gathered at `now` (Unix seconds, for gauges of which the newest wins).
    ///
    /// A registry does not say when a gauge was set: its time is that of the first gather that sees a new value, and a
    /// gauge that was never seen other than 0 counts as never set. For the same reason a sum began to count when it was
    /// first seen, and a metric that the registry shows no more was removed now.
    pub fn take(&mut self, families: &[MetricFamily], now: f64) {
        self.gathers += 1;
        for family in families {
            for metric in family.get_metric() {
                if let Err(reason) = self.take_metric(family, metric, now) {
                    self.left_out.add(family.name(), reason);
                }
            }
        }
        self.hide_vanished(now);
    }

    /// Counts from what `families` show on: their counters, histograms and summaries begin at 0. For a process that
    /// inherited the registry's values, which others push. Only before the first [`Snapshot::take`].
    pub fn begin_after(&mut self, families: &[MetricFamily]) {
        self.take(families, 0.0);
        for (index, descriptor) in self.descriptors.entries().iter().enumerate() {
            if !matches!(descriptor.kind, Kind::Gauge(_)) {
                self.carries[index] = -self.values.slots[index];
                self.values.slots[index] = 0.0;
            }
        }
    }

    /// What the slots mean. Only ever grows.
    pub fn descriptors(&self) -> &DescriptorList {
        &self.descriptors
    }

    /// One value per descriptor.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// What was left out so far, by name.
    pub fn left_out(&self) -> Vec<LeftOut> {
        self.left_out.list()
    }

    fn take_metric(&mut self, family: &MetricFamily, metric: &Metric, now: f64) -> Result<(), Reason> {
        let shown = Shown::of(family, metric).ok_or(Reason::Untyped)?;
        let kind = flatten::kind(family, &self.modes);
        let key = MetricKey { name: family.name().to_owned(), kind, labels: flatten::labels(metric) };
        let Some(state) = self.metrics.get(&key) else {
            return self.admit(family, key, shown, now);
        };
        if state.gather == self.gathers {
            return Err(Reason::Duplicate);
        }
        if state.shown.bounds != shown.bounds {
            // Made again with other bounds: the old buckets stay as they are.
            self.carry(&key);
            self.hide(&key, now);
            return self.admit(family, key, shown, now);
        }
        if !matches!(kind, Kind::Gauge(_)) && shown.has_fallen_since(&state.shown) {
            self.carry(&key);
        }
        self.update(&key, shown, now)
    }

    /// Gives a metric its slots, appending those that its series never had before.
    fn admit(&mut self, family: &MetricFamily, key: MetricKey, shown: Shown, now: f64) -> Result<(), Reason> {
        let kind = key.kind;
        let descriptors = flatten::descriptors(family, kind, &key.labels, &shown.bounds);
        descriptors.iter().try_for_each(|descriptor| descriptor.check().map_err(Reason::of))?;
        if self.descriptors.len() + descriptors.len() > limits::SLOTS_PER_SOURCE_MAX {
            return Err(Reason::TooManySlots);
        }
        let slots = descriptors.into_iter().map(|descriptor| self.slot(descriptor, now)).collect();
        let nothing = Shown { values: vec![0.0; shown.values.len()], ..shown.clone() };
        self.metrics.insert(key.clone(), MetricState { slots, shown: nothing, gather: 0 });
        self.update(&key, shown, now)
    }

    fn slot(&mut self, descriptor: Descriptor, now: f64) -> usize {
        if let Some(slot) = self.by_key.get(&descriptor.key()) {
            return *slot;
        }
        let slot = self.descriptors.len();
        self.by_key.insert(descriptor.key(), slot);
        self.values.slots.push(0.0);
        self.carries.push(0.0);
        let is_timestamped = descriptor.kind.is_timestamped();
        self.stamps.push(is_timestamped.then_some(self.values.timestamps.len()));
        if is_timestamped {
            self.values.timestamps.push(0.0);
        }
        if descriptor.kind.merge_mode() == MergeMode::Sum {
            self.values.annotations.created.resize(slot, 0);
            self.values.annotations.created.push(milliseconds(now));
        }
        self.descriptors.push(descriptor);
        slot
    }

    /// Hides the metrics that the last gather did not have.
    fn hide_vanished(&mut self, now: f64) {
        let is_shown =
            |state: &&MetricState| state.slots.iter().any(|slot| !self.values.annotations.is_removed(*slot));
        let vanished =
            self.metrics.iter().filter(|(_, state)| state.gather != self.gathers && is_shown(state));
        let vanished: Vec<MetricKey> = vanished.map(|(key, _)| key.clone()).collect();
        vanished.iter().for_each(|key| self.hide(key, now));
    }

    /// What was counted stays counted; a gauge is no more.
    fn hide(&mut self, key: &MetricKey, now: f64) {
        let Some(state) = self.metrics.get(key) else { return };
        for slot in &state.slots {
            if matches!(key.kind, Kind::Gauge(_)) {
                self.values.slots[*slot] = 0.0;
            }
            // Later than whatever was said before, whatever the clock does.
            let at = milliseconds(now).max(self.changed_at(*slot) + 1);
            self.values.annotations.presence.insert(*slot, Presence::Removed(at));
        }
    }

    fn changed_at(&self, slot: usize) -> u64 {
        match self.values.annotations.presence(slot) {
            Presence::Shown(at) | Presence::Removed(at) => at,
        }
    }

    fn show(&mut self, key: &MetricKey, now: f64) {
        let Some(state) = self.metrics.get(key).filter(|_| !self.values.annotations.presence.is_empty())
        else {
            return;
        };
        for slot in &state.slots {
            if self.values.annotations.is_removed(*slot) {
                let at = milliseconds(now).max(self.changed_at(*slot) + 1);
                self.values.annotations.presence.insert(*slot, Presence::Shown(at));
            }
        }
    }

    /// Keeps what the metric's slots have reached under whatever its next life counts.
    fn carry(&mut self, key: &MetricKey) {
        for slot in self.metrics.get(key).into_iter().flat_map(|state| &state.slots) {
            self.carries[*slot] = self.values.slots[*slot];
        }
    }

    fn update(&mut self, key: &MetricKey, shown: Shown, now: f64) -> Result<(), Reason> {
        self.show(key, now);
        let Some(state) = self.metrics.get_mut(key) else { return Ok(()) };
        state.gather = self.gathers;
        let mut result = Ok(());
        for (index, (slot, shown)) in state.slots.iter().zip(shown.values).enumerate() {
            let value = self.carries[*slot] + shown;
            if !self.descriptors.rules()[*slot].allows(value) {
                result = Err(if value.is_finite() { Reason::Negative } else { Reason::NotFinite });
                continue;
            }
            let target = &mut self.values.slots[*slot];
            if let Some(stamp) = self.stamps[*slot].filter(|_| target.to_bits() != value.to_bits()) {
                self.values.timestamps[stamp] = now;
            }
            *target = value;
            state.shown.values[index] = shown;
        }
        result
    }
}

fn milliseconds(unix_seconds: f64) -> u64 {
    // The cast takes what is negative or no number for 0.
    (unix_seconds * 1_000.0).round() as u64
}

#[cfg(test)]
mod tests;
