//! Every series that was met, by number, so that merging a source is adding columns.

use std::{collections::HashMap, sync::Arc};

use metrifold_model::{DescriptorHash, DescriptorList, Kind, LabelNames, MergeMode, SeriesKey};
use metrifold_session::{Archive, Archived};

use crate::{ConflictReason, column::Merged, names};

/// Number of a series in the table.
pub(crate) type SeriesIndex = usize;

/// Number of a family in the table.
pub(crate) type FamilyIndex = usize;

/// One series, as long as the table lives.
pub(crate) struct TableSeries {
    pub(crate) key: Arc<SeriesKey>,
    pub(crate) family: FamilyIndex,
    /// Why it cannot be shown, if so.
    pub(crate) refusal: Option<ConflictReason>,
}

/// How one slot of a descriptor list merges.
#[derive(Clone, Copy)]
pub(crate) struct PlannedSlot {
    pub(crate) mode: MergeMode,
    /// The series ends with its worker: it counts only while that lives, and no part of it is ever archived.
    pub(crate) ends_with_worker: bool,
    pub(crate) is_timestamped: bool,
    /// The merged series; not used by per-worker slots, which have one per worker.
    pub(crate) series: SeriesIndex,
}

/// A descriptor list, resolved.
pub(crate) struct Plan {
    pub(crate) slots: Vec<PlannedSlot>,
    pub(crate) helps: Vec<(FamilyIndex, Arc<str>)>,
}

/// An archive, resolved.
pub(crate) struct ArchivePlan {
    pub(crate) archive: Arc<Archive>,
    /// In the archive's order.
    pub(crate) values: Vec<(SeriesIndex, Archived)>,
    pub(crate) helps: Vec<(FamilyIndex, Arc<str>)>,
}

/// Series, families and resolved lists; and the column of this merge.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) series: Vec<TableSeries>,
    pub(crate) family_names: Vec<String>,
    /// One accumulator per series.
    pub(crate) column: Vec<Option<Merged>>,
    by_key: HashMap<Arc<SeriesKey>, SeriesIndex>,
    by_family: HashMap<String, FamilyIndex>,
    /// Workers of one program share their descriptors: each list is resolved once.
    plans: HashMap<(usize, DescriptorHash), Arc<Plan>>,
    /// Per shard, by its place among the shards.
    archives: Vec<Arc<ArchivePlan>>,
    /// The series by their keys, if none came since.
    order: Vec<SeriesIndex>,
}

impl Table {
    /// Empties the column for the next merge.
    pub(crate) fn clear_column(&mut self) {
        self.column.fill(None);
    }

    /// Number of resolved lists that are remembered.
    pub(crate) fn plan_count(&self) -> usize {
        self.plans.len()
    }

    /// `per_worker` must be the same at every call.
    pub(crate) fn plan(&mut self, list: &DescriptorList, per_worker: &LabelNames) -> Arc<Plan> {
        let identity = (list.len(), list.hash());
        if let Some(plan) = self.plans.get(&identity) {
            return plan.clone();
        }
        let plan = Arc::new(self.resolve(list, per_worker));
        self.plans.insert(identity, plan.clone());
        plan
    }

    fn resolve(&mut self, list: &DescriptorList, per_worker: &LabelNames) -> Plan {
        let mut slots = Vec::with_capacity(list.len());
        let mut helps = HashMap::new();
        for descriptor in list.iter() {
            let mode = descriptor.kind.merge_mode();
            let series = match mode {
                MergeMode::PerWorker => SeriesIndex::MAX,
                _ => self.index(descriptor.key()),
            };
            slots.push(PlannedSlot {
                mode,
                ends_with_worker: descriptor.ends_with_worker(per_worker),
                is_timestamped: descriptor.kind.is_timestamped(),
                series,
            });
            helps.insert(self.family(&descriptor.family), descriptor.help.as_str());
        }
        Plan { slots, helps: owned(helps) }
    }

    /// The resolved archive of the shard at `place`.
    pub(crate) fn archive(&mut self, place: usize, archive: &Arc<Archive>) -> Arc<ArchivePlan> {
        if let Some(plan) = self.archives.get(place).filter(|plan| Arc::ptr_eq(&plan.archive, archive)) {
            return plan.clone();
        }
        let plan = Arc::new(self.resolve_archive(archive));
        match self.archives.get_mut(place) {
            Some(former) => *former = plan.clone(),
            None => self.archives.push(plan.clone()),
        }
        plan
    }

    fn resolve_archive(&mut self, archive: &Arc<Archive>) -> ArchivePlan {
        let mut values = Vec::with_capacity(archive.series.len());
        let mut helps: HashMap<FamilyIndex, &str> = HashMap::new();
        for (key, series) in &archive.series {
            values.push((self.index(key.clone()), series.value));
            let help = helps.entry(self.family(&key.family)).or_default();
            *help = (*help).max(&series.help);
        }
        ArchivePlan { archive: archive.clone(), values, helps: owned(helps) }
    }

    /// The series of a key, made if it is new.
    pub(crate) fn index(&mut self, key: SeriesKey) -> SeriesIndex {
        if let Some(index) = self.by_key.get(&key) {
            return *index;
        }
        let index = self.series.len();
        let (family, refusal) = (self.family(&key.family), names::refusal(&key));
        let key = Arc::new(key);
        self.by_key.insert(key.clone(), index);
        self.series.push(TableSeries { key, family, refusal });
        self.column.push(None);
        index
    }

    fn family(&mut self, name: &str) -> FamilyIndex {
        if let Some(index) = self.by_family.get(name) {
            return *index;
        }
        let index = self.family_names.len();
        self.family_names.push(name.to_owned());
        self.by_family.insert(name.to_owned(), index);
        index
    }

    /// Brings the order up to date.
    pub(crate) fn sort(&mut self) {
        if self.order.len() < self.series.len() {
            self.order.extend(self.order.len()..self.series.len());
            self.order.sort_by(|one, two| self.series[*one].key.cmp(&self.series[*two].key));
        }
    }

    /// The series with a value, in order of their keys, so that families stand together.
    pub(crate) fn present(&self) -> impl Iterator<Item = SeriesIndex> {
        self.order.iter().copied().filter(|index| self.column[*index].is_some())
    }

    pub(crate) fn kind(&self, index: SeriesIndex) -> Kind {
        self.series[index].key.kind
    }
}

fn owned(helps: HashMap<FamilyIndex, &str>) -> Vec<(FamilyIndex, Arc<str>)> {
    helps.into_iter().map(|(family, help)| (family, Arc::from(help))).collect()
}
