//! The folded sums of a shard.

use std::{collections::BTreeMap, sync::Arc};

use metrifold_model::{
    Annotations, Descriptor, DescriptorList, DoubleDouble, Exemplar, LabelNames, Labels, Marks, MergeMode,
    SeriesKey, WORKER_LABEL_PREFIX, Worker, earlier, greater, lesser, limits, newer,
};

use crate::{Record, Tombstone};

/// What a series takes besides its texts: numbers and lengths.
const SERIES_BYTES: usize = 128;

/// What the archive keeps of a source. The same for every server of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivePolicy {
    /// Series with any of these labels end with their worker: nothing of them is archived. Default none.
    pub per_worker_labels: LabelNames,
    /// Labels of workers that survive folding: each combination of their values has archived series of its own, under
    /// names that begin with [`WORKER_LABEL_PREFIX`]. Default none.
    pub archive_labels: LabelNames,
    /// Most bytes of a shard's archive, before compression. Default [`limits::ARCHIVE_BYTES_MAX`].
    pub bytes_max: usize,
}

impl Default for ArchivePolicy {
    fn default() -> Self {
        ArchivePolicy {
            per_worker_labels: LabelNames::default(),
            archive_labels: LabelNames::default(),
            bytes_max: limits::ARCHIVE_BYTES_MAX,
        }
    }
}

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
    /// The unit that a source named last.
    pub unit: String,
    /// The value.
    pub value: Archived,
    /// When the first source began to count, Unix milliseconds; 0 = not known.
    pub created: u64,
    /// Who showed and who removed the series last. Only of sums: a removed gauge is not archived at all.
    pub marks: Marks,
    /// The newest exemplar.
    pub exemplar: Option<Arc<Exemplar>>,
}

impl ArchivedSeries {
    /// A series with nothing but its value.
    pub fn new(help: impl Into<String>, value: Archived) -> Self {
        ArchivedSeries {
            help: help.into(),
            unit: String::new(),
            value,
            created: 0,
            marks: Marks::default(),
            exemplar: None,
        }
    }

    /// Takes over what a source knows of its slot. Earliest and newest, so that doing it again (a source that was
    /// folded too early, came back and is folded once more) changes nothing, nor does the order of sources.
    fn annotate(&mut self, annotations: &Annotations, slot: usize) {
        self.created = earlier(self.created, annotations.created(slot));
        self.marks = self.marks.join(annotations.presence(slot).into());
        let Some(exemplar) = annotations.exemplars.get(&slot).filter(|exemplar| exemplar.is_sound()) else {
            return;
        };
        if self.exemplar.as_ref().is_none_or(|kept| kept.newer(exemplar) != kept.as_ref()) {
            self.exemplar = Some(exemplar.clone());
        }
    }
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
            (key, &series.help, &series.unit, series.value.bits()).hash(state);
            (series.created, series.marks, &series.exemplar).hash(state);
        }
    }
}

impl Archive {
    /// Adds what `record` counted beyond its base.
    pub(crate) fn fold(&mut self, record: &Record, policy: &ArchivePolicy) {
        let kept = kept_labels(&record.worker, policy);
        for (index, descriptor) in record.descriptors.iter().enumerate() {
            // A source that has only said hello may have a base but no values: it counted nothing yet.
            let (value, base) = (record.values.slot(index), record.base.slot(index));
            // A store that others write to may hold what no door would take; in a sum it would stay for ever.
            let is_sound = descriptor.rule().allows(value) && descriptor.rule().allows(base);
            if is_sound
                && descriptor.is_archived(&policy.per_worker_labels)
                && index < record.values.slots.len()
            {
                let delta = DoubleDouble::difference(value, base);
                self.add(descriptor, &kept, Archived::Sum(delta)).annotate(&record.values.annotations, index);
            }
        }
    }

    /// No less than the bytes of its packed form before compression.
    pub(crate) fn bytes(&self) -> usize {
        let bytes_of = |(key, series): (&SeriesKey, &ArchivedSeries)| {
            let exemplar = series.exemplar.as_ref().map_or(0, |exemplar| labels_bytes(&exemplar.labels));
            series_bytes(key, &series.help, &series.unit) + exemplar
        };
        self.series.iter().map(bytes_of).sum()
    }

    /// How much [`Archive::bytes`] may grow, but for exemplars, by a source with these descriptors.
    pub(crate) fn bytes_for(
        &self,
        descriptors: &DescriptorList,
        worker: &Worker,
        policy: &ArchivePolicy,
    ) -> usize {
        let kept = kept_labels(worker, policy);
        let kept_bytes = labels_bytes(&kept);
        let descriptors = descriptors.iter();
        let archived =
            descriptors.filter(|descriptor| !descriptor.ends_with_worker(&policy.per_worker_labels));
        let new = archived.filter(|descriptor| {
            let mut key = descriptor.key();
            kept.iter().for_each(|(name, value)| key.labels.set(name, value));
            !self.series.contains_key(&key)
        });
        new.map(|of| series_bytes(&of.key(), &of.help, &of.unit) + kept_bytes).sum()
    }

    /// Takes over the gauges of a tombstone that is about to be trimmed.
    pub(crate) fn take_gauges(&mut self, tombstone: &Tombstone, policy: &ArchivePolicy) {
        let kept = kept_labels(&tombstone.worker, policy);
        let mut timestamps = tombstone.values.timestamps.iter().copied();
        for (index, descriptor) in tombstone.descriptors.iter().enumerate() {
            let timestamp =
                if descriptor.kind.is_timestamped() { timestamps.next().unwrap_or(0.0) } else { 0.0 };
            let has_value = index < tombstone.values.slots.len();
            let is_gone = tombstone.values.annotations.is_removed(index);
            if !has_value || is_gone || descriptor.ends_with_worker(&policy.per_worker_labels) {
                continue;
            }
            let value = tombstone.values.slot(index);
            let archived = match descriptor.kind.merge_mode() {
                MergeMode::Min => Archived::Min(value),
                MergeMode::Max => Archived::Max(value),
                MergeMode::MostRecent if timestamp > 0.0 => Archived::MostRecent { value, timestamp },
                MergeMode::MostRecent | MergeMode::Sum | MergeMode::PerWorker => continue,
            };
            self.add(descriptor, &kept, archived);
        }
    }

    fn add(&mut self, descriptor: &Descriptor, kept: &Labels, value: Archived) -> &mut ArchivedSeries {
        let mut key = descriptor.key();
        kept.iter().for_each(|(name, value)| key.labels.set(name, value));
        let series = self
            .series
            .entry(key)
            .and_modify(|series| {
                series.value = series.value.combine(value);
                series.help.clone_from(&descriptor.help);
            })
            .or_insert_with(|| ArchivedSeries::new(&descriptor.help, value));
        if !descriptor.unit.is_empty() {
            series.unit.clone_from(&descriptor.unit);
        }
        series
    }
}

fn series_bytes(key: &SeriesKey, help: &str, unit: &str) -> usize {
    key.family.len() + key.sample.len() + help.len() + unit.len() + labels_bytes(&key.labels) + SERIES_BYTES
}

fn labels_bytes(labels: &Labels) -> usize {
    labels.iter().map(|(name, value)| name.len() + value.len() + 8).sum()
}

/// The labels of a worker that its archived series keep, by their names there.
fn kept_labels(worker: &Worker, policy: &ArchivePolicy) -> Labels {
    let labels = worker.labels_of(&policy.archive_labels);
    Labels::new(labels.iter().map(|(name, value)| (format!("{WORKER_LABEL_PREFIX}{name}"), value)))
}

#[cfg(test)]
mod tests {
    use metrifold_model::{DescriptorList, Epoch, Kind, Labels, Presence, Seq, Values};
    use proptest::prelude::*;

    use super::*;
    use crate::Instant;

    /// A state of a source with one counter: its value, and what it knows of it.
    fn state() -> impl Strategy<Value = (u32, u64, Option<Presence>, Option<Exemplar>)> {
        let presence =
            prop_oneof![(1u64..9).prop_map(Presence::Shown), (1u64..9).prop_map(Presence::Removed)];
        let exemplar = (0u8..4, 0u8..3).prop_map(|(timestamp, id)| Exemplar {
            labels: Labels::new([("id", id.to_string())]),
            value: 1.0,
            timestamp: f64::from(timestamp),
        });
        (0u32..100, 0u64..5, proptest::option::of(presence), proptest::option::of(exemplar))
    }

    fn record(
        (value, created, presence, exemplar): (u32, u64, Option<Presence>, Option<Exemplar>),
    ) -> Record {
        let counter = Descriptor::new(Kind::Counter, "c", "c_total", Labels::default(), "");
        let annotations = Annotations {
            created: vec![created],
            presence: presence.into_iter().map(|presence| (0, presence)).collect(),
            exemplars: exemplar.into_iter().map(|exemplar| (0, Arc::new(exemplar))).collect(),
        };
        Record {
            seq: Seq(1),
            epoch: Epoch(1),
            seen: Instant(0),
            worker: Arc::default(),
            descriptors: DescriptorList::from_iter([counter]),
            values: Values { annotations, ..Values::from_slots(vec![f64::from(value)]) },
            base: Values::default(),
            ended: false,
        }
    }

    proptest! {
        /// Goal: neither the order in which sources are folded nor a source that comes back and is folded again shows.
        #[test]
        fn what_the_archive_knows_of_a_series_depends_neither_on_order_nor_on_repetition(
            states in proptest::collection::vec(state(), 1..6),
            again in any::<proptest::sample::Index>(),
        ) {
            let records: Vec<_> = states.into_iter().map(record).collect();
            let (mut one, mut two) = (Archive::default(), Archive::default());
            records.iter().for_each(|record| one.fold(record, &ArchivePolicy::default()));
            records.iter().rev().for_each(|record| two.fold(record, &ArchivePolicy::default()));
            prop_assert_eq!(&one, &two);
            let former = again.get(&records);
            let revived = Record { base: former.values.clone(), ..former.clone() };
            two.fold(&revived, &ArchivePolicy::default());
            prop_assert_eq!(one, two);
        }
    }
}
