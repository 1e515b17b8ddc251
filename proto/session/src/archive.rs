//! The folded sums of a shard.

use std::collections::BTreeMap;

use metrifold_model::{Descriptor, DoubleDouble, LabelNames, MergeMode, SeriesKey, greater, lesser, newer};

use crate::{Record, Tombstone};

/// Everything that sources which are gone have left behind, per series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Archive {
    /// The series, in order of family.
    pub series: BTreeMap<SeriesKey, ArchivedSeries>,
}

/// One archived series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedSeries {
    /// The help text of the source that was folded last.
    pub help: String,
    /// The value.
    pub value: Archived,
}

/// The archived value of a series, by how its kind merges.
#[derive(Clone, Copy, Debug)]
pub enum Archived {
    /// Sum of values minus base of all folded sources.
    Sum(DoubleDouble),
    /// Smallest value of any trimmed source.
    Min(f64),
    /// Largest value of any trimmed source.
    Max(f64),
    /// Newest value of any trimmed source.
    MostRecent {
        /// The value.
        value: f64,
        /// When it was set, Unix seconds.
        timestamp: f64,
    },
}

impl PartialEq for Archived {
    fn eq(&self, other: &Self) -> bool {
        self.bits() == other.bits()
    }
}

impl Eq for Archived {}

impl Archived {
    /// The value by itself, rounded.
    pub fn value(self) -> f64 {
        match self {
            Archived::Sum(sum) => sum.round(),
            Archived::Min(value) | Archived::Max(value) | Archived::MostRecent { value, .. } => value,
        }
    }

    fn bits(self) -> (u8, u64, u64) {
        match self {
            Archived::Sum(sum) => (0, sum.parts().0.to_bits(), sum.parts().1.to_bits()),
            Archived::Min(value) => (1, value.to_bits(), 0),
            Archived::Max(value) => (2, value.to_bits(), 0),
            Archived::MostRecent { value, timestamp } => (3, value.to_bits(), timestamp.to_bits()),
        }
    }

    fn combine(self, other: Archived) -> Archived {
        match (self, other) {
            (Archived::Sum(one), Archived::Sum(two)) => Archived::Sum(one + two),
            (Archived::Min(one), Archived::Min(two)) => Archived::Min(lesser(one, two)),
            (Archived::Max(one), Archived::Max(two)) => Archived::Max(greater(one, two)),
            (
                Archived::MostRecent { value: one, timestamp: first },
                Archived::MostRecent { value: two, timestamp: second },
            ) => {
                let (value, timestamp) = newer((one, first), (two, second));
                Archived::MostRecent { value, timestamp }
            }
            // A key fixes its kind and a kind its variant, so no other pair meets.
            (kept, _) => kept,
        }
    }
}

// Hashing an archive serves the model checker; bits decide, as for equality.
impl std::hash::Hash for Archive {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        for (key, series) in &self.series {
            (key, &series.help, series.value.bits()).hash(state);
        }
    }
}

impl Archive {
    /// Adds what `record` counted beyond its base.
    pub(crate) fn fold(&mut self, record: &Record, per_worker: &LabelNames) {
        for (index, descriptor) in record.descriptors.iter().enumerate() {
            // A source that has only said hello may have a base but no values: it counted nothing yet.
            if descriptor.is_archived(per_worker) && index < record.values.slots.len() {
                let delta = DoubleDouble::difference(record.values.slot(index), record.base.slot(index));
                self.add(descriptor, Archived::Sum(delta));
            }
        }
    }

    /// Takes over the gauges of a tombstone that is about to be trimmed.
    pub(crate) fn take_gauges(&mut self, tombstone: &Tombstone, per_worker: &LabelNames) {
        let mut timestamps = tombstone.values.timestamps.iter().copied();
        for (index, descriptor) in tombstone.descriptors.iter().enumerate() {
            let timestamp =
                if descriptor.kind.is_timestamped() { timestamps.next().unwrap_or(0.0) } else { 0.0 };
            let has_value = index < tombstone.values.slots.len();
            if !has_value || descriptor.ends_with_worker(per_worker) {
                continue;
            }
            let value = tombstone.values.slot(index);
            match descriptor.kind.merge_mode() {
                MergeMode::Min => self.add(descriptor, Archived::Min(value)),
                MergeMode::Max => self.add(descriptor, Archived::Max(value)),
                MergeMode::MostRecent if timestamp > 0.0 => {
                    self.add(descriptor, Archived::MostRecent { value, timestamp });
                }
                MergeMode::MostRecent | MergeMode::Sum | MergeMode::PerWorker => {}
            }
        }
    }

    fn add(&mut self, descriptor: &Descriptor, value: Archived) {
        self.series
            .entry(descriptor.key())
            .and_modify(|series| {
                series.value = series.value.combine(value);
                series.help.clone_from(&descriptor.help);
            })
            .or_insert_with(|| ArchivedSeries { help: descriptor.help.clone(), value });
    }
}
