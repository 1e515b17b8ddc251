//! The merged columns: one accumulator per series.

use std::collections::{BTreeSet, HashMap};

use metrifold_model::{
    DescriptorHash, DescriptorList, DoubleDouble, MergeMode, SeriesKey, greater, lesser, newer,
};

use crate::{Conflict, ConflictReason, names};

/// Number of a series in the table.
pub(crate) type SeriesIndex = usize;

/// One series and what was added to it.
pub(crate) struct Series {
    pub(crate) key: SeriesKey,
    /// `None` until a source contributes.
    pub(crate) merged: Option<Merged>,
}

#[derive(Clone, Copy)]
pub(crate) enum Merged {
    Sum(DoubleDouble),
    Gauge(f64),
    Stamped { value: f64, timestamp: f64 },
}

impl Merged {
    pub(crate) fn value(self) -> f64 {
        match self {
            Merged::Sum(sum) => sum.round(),
            Merged::Gauge(value) | Merged::Stamped { value, .. } => value,
        }
    }
}

/// All series of a view under way.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) series: Vec<Series>,
    by_key: HashMap<SeriesKey, SeriesIndex>,
    /// Workers of one program share their descriptors: each list is resolved once, then merging is adding columns.
    resolved: HashMap<(usize, DescriptorHash), Vec<Option<SeriesIndex>>>,
    /// Help by family; later entries replace earlier ones.
    pub(crate) help: HashMap<String, String>,
    pub(crate) conflicts: BTreeSet<Conflict>,
}

impl Table {
    /// The table's series for each slot of a list; `None` for slots that cannot be shown.
    pub(crate) fn resolve(&mut self, list: &DescriptorList) -> Vec<Option<SeriesIndex>> {
        let identity = (list.len(), list.hash());
        if let Some(indices) = self.resolved.get(&identity) {
            return indices.clone();
        }
        let indices: Vec<_> = list.iter().map(|descriptor| self.index(descriptor.key())).collect();
        self.resolved.insert(identity, indices.clone());
        indices
    }

    /// The series of a key, made if it is new; `None`, and a conflict, if it cannot be shown.
    pub(crate) fn index(&mut self, key: SeriesKey) -> Option<SeriesIndex> {
        if let Some(index) = self.by_key.get(&key) {
            return Some(*index);
        }
        if let Some(reason) = names::refusal(&key) {
            self.conflicts.insert(Conflict { family: key.family, reason });
            return None;
        }
        let index = self.series.len();
        self.by_key.insert(key.clone(), index);
        self.series.push(Series { key, merged: None });
        Some(index)
    }

    /// Adds to a sum. What is not finite is left out and named.
    pub(crate) fn add(&mut self, index: SeriesIndex, addend: DoubleDouble) {
        let series = &mut self.series[index];
        if !addend.round().is_finite() {
            let (family, sample) = (series.key.family.clone(), series.key.sample.clone());
            self.conflicts.insert(Conflict { family, reason: ConflictReason::NotFinite(sample) });
            return;
        }
        let sum = match series.merged {
            Some(Merged::Sum(sum)) => sum + addend,
            _ => addend,
        };
        series.merged = Some(Merged::Sum(sum));
    }

    /// Offers a gauge value to a series that is not a sum.
    pub(crate) fn offer(&mut self, index: SeriesIndex, value: f64, timestamp: f64) {
        let series = &mut self.series[index];
        series.merged = match (series.key.kind.merge_mode(), series.merged) {
            // Never set: no sample.
            (MergeMode::MostRecent, merged) if timestamp == 0.0 => merged,
            (MergeMode::MostRecent, Some(Merged::Stamped { value: shown, timestamp: since })) => {
                let (value, timestamp) = newer((shown, since), (value, timestamp));
                Some(Merged::Stamped { value, timestamp })
            }
            (MergeMode::MostRecent, _) => Some(Merged::Stamped { value, timestamp }),
            (MergeMode::Min, Some(Merged::Gauge(shown))) => Some(Merged::Gauge(lesser(shown, value))),
            (MergeMode::Max, Some(Merged::Gauge(shown))) => Some(Merged::Gauge(greater(shown, value))),
            _ => Some(Merged::Gauge(value)),
        };
    }
}
