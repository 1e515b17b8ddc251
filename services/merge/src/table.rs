//! Every series that was met, by number, so that merging a source is adding columns.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use metrifold_model::{
    DescriptorHash, DescriptorList, Exemplar, Kind, Labels, Marks, MergeMode, SeriesKey, Worker, earlier,
};
use metrifold_session::{Archive, Archived};

use crate::{ConflictReason, MergeOptions, combine::Merged, grouping, names};

/// Number of a series in the table.
pub(crate) type SeriesIndex = usize;

/// Number of a family in the table.
pub(crate) type FamilyIndex = usize;

/// Number of a group of series that were made together, and are removed together: the buckets and the sum of one label
/// set, or a series alone.
pub(crate) type GroupIndex = usize;

/// One series, as long as the table lives.
pub(crate) struct TableSeries {
    pub(crate) key: Arc<SeriesKey>,
    pub(crate) family: FamilyIndex,
    pub(crate) group: GroupIndex,
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
    /// That series' group; not used either.
    pub(crate) group: GroupIndex,
}

/// A descriptor list, resolved.
pub(crate) struct Plan {
    /// Among those that are remembered.
    number: usize,
    pub(crate) slots: Vec<PlannedSlot>,
    pub(crate) helps: Vec<(FamilyIndex, Arc<str>)>,
    pub(crate) units: Vec<(FamilyIndex, Arc<str>)>,
    /// Each family with each kind that the list has of it.
    kinds: Vec<(FamilyIndex, Kind)>,
}

/// An archive, resolved.
pub(crate) struct ArchivePlan {
    pub(crate) archive: Arc<Archive>,
    /// In the archive's order.
    pub(crate) values: Vec<(SeriesIndex, Archived)>,
    pub(crate) helps: Vec<(FamilyIndex, Arc<str>)>,
    pub(crate) units: Vec<(FamilyIndex, Arc<str>)>,
    /// Known times of creation.
    pub(crate) created: Vec<(GroupIndex, u64)>,
    /// Of all sums.
    pub(crate) marks: Vec<(GroupIndex, Marks)>,
    /// Whether a removal is among them.
    pub(crate) has_removals: bool,
    pub(crate) exemplars: Vec<(SeriesIndex, Arc<Exemplar>)>,
}

/// Series, families and resolved lists; and the column of this merge.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) series: Vec<TableSeries>,
    pub(crate) family_names: Vec<String>,
    /// One accumulator per series.
    pub(crate) column: Vec<Option<Merged>>,
    /// The earliest time of creation of each group, Unix milliseconds; 0 = not known.
    pub(crate) created: Vec<u64>,
    /// The newest exemplar of each series that has one.
    pub(crate) exemplars: HashMap<SeriesIndex, Arc<Exemplar>>,
    /// Families with the kinds under which living sources have them.
    living: HashSet<(FamilyIndex, Kind)>,
    /// The lists of which that is noted.
    noted: HashSet<usize>,
    by_key: HashMap<Arc<SeriesKey>, SeriesIndex>,
    by_family: HashMap<String, FamilyIndex>,
    by_label_set: HashMap<(FamilyIndex, Kind, Labels), GroupIndex>,
    /// Workers of one program share their descriptors: each list is resolved once per group of workers.
    plans: HashMap<(usize, DescriptorHash, Labels), Arc<Plan>>,
    /// Per shard, by its place among the shards.
    archives: Vec<Arc<ArchivePlan>>,
    /// The series by their keys, if none came since.
    order: Vec<SeriesIndex>,
}

impl Table {
    /// Empties the column for the next merge.
    pub(crate) fn clear_column(&mut self) {
        self.column.fill(None);
        self.created.fill(0);
        self.exemplars.clear();
        self.living.clear();
        self.noted.clear();
    }

    /// Notes what a living source has. Many share a list.
    pub(crate) fn note_living(&mut self, plan: &Plan) {
        if self.noted.insert(plan.number) {
            self.living.extend(&plan.kinds);
        }
    }

    /// Whether a living source has the family under this kind.
    pub(crate) fn is_living(&self, family: FamilyIndex, kind: Kind) -> bool {
        self.living.contains(&(family, kind))
    }

    /// Number of resolved lists that are remembered.
    pub(crate) fn plan_count(&self) -> usize {
        self.plans.len()
    }

    /// `options` must be the same at every call.
    pub(crate) fn plan(
        &mut self,
        list: &DescriptorList,
        worker: &Worker,
        options: &MergeOptions,
    ) -> Arc<Plan> {
        let group = worker.labels_of(&options.group_by);
        let identity = (list.len(), list.hash(), group);
        if let Some(plan) = self.plans.get(&identity) {
            return plan.clone();
        }
        let plan = Arc::new(self.resolve(list, &identity.2, options));
        self.plans.insert(identity, plan.clone());
        plan
    }

    fn resolve(&mut self, list: &DescriptorList, group: &Labels, options: &MergeOptions) -> Plan {
        let mut slots = Vec::with_capacity(list.len());
        let (mut helps, mut units, mut kinds) = (HashMap::new(), HashMap::new(), HashSet::new());
        for descriptor in list.iter() {
            let mode = descriptor.kind.merge_mode();
            let series = match mode {
                MergeMode::PerWorker => SeriesIndex::MAX,
                _ => {
                    let labels = grouping::of_worker(&descriptor.labels, group);
                    self.index(SeriesKey { labels, ..descriptor.key() })
                }
            };
            slots.push(PlannedSlot {
                mode,
                ends_with_worker: descriptor.ends_with_worker(&options.per_worker_labels),
                is_timestamped: descriptor.kind.is_timestamped(),
                series,
                group: self.series.get(series).map_or(GroupIndex::MAX, |series| series.group),
            });
            let family = self.family(&descriptor.family);
            helps.insert(family, descriptor.help.as_str());
            kinds.insert((family, descriptor.kind));
            if names::takes_unit(&descriptor.family, descriptor.kind, &descriptor.unit) {
                units.insert(family, descriptor.unit.as_str());
            }
        }
        let number = self.plans.len();
        Plan { number, slots, helps: owned(helps), units: owned(units), kinds: kinds.into_iter().collect() }
    }

    /// The resolved archive of the shard at `place`. `options` must be the same at every call.
    pub(crate) fn archive(
        &mut self,
        place: usize,
        archive: &Arc<Archive>,
        options: &MergeOptions,
    ) -> Arc<ArchivePlan> {
        if let Some(plan) = self.archives.get(place).filter(|plan| Arc::ptr_eq(&plan.archive, archive)) {
            return plan.clone();
        }
        let plan = Arc::new(self.resolve_archive(archive, options));
        match self.archives.get_mut(place) {
            Some(former) => *former = plan.clone(),
            None => self.archives.push(plan.clone()),
        }
        plan
    }

    fn resolve_archive(&mut self, archive: &Arc<Archive>, options: &MergeOptions) -> ArchivePlan {
        let mut plan = ArchivePlan {
            archive: archive.clone(),
            values: Vec::with_capacity(archive.series.len()),
            helps: Vec::new(),
            units: Vec::new(),
            created: Vec::new(),
            marks: Vec::new(),
            has_removals: false,
            exemplars: Vec::new(),
        };
        let mut helps: HashMap<FamilyIndex, &str> = HashMap::new();
        let mut units: HashMap<FamilyIndex, &str> = HashMap::new();
        for (key, series) in &archive.series {
            let labels = grouping::of_archived(&key.labels, &options.group_by);
            let index = self.index(SeriesKey { labels, ..key.clone() });
            let (family, group) = (self.series[index].family, self.series[index].group);
            plan.values.push((index, series.value));
            let help = helps.entry(family).or_default();
            *help = (*help).max(&series.help);
            if names::takes_unit(&key.family, key.kind, &series.unit) {
                let unit = units.entry(family).or_default();
                *unit = (*unit).max(&series.unit);
            }
            if series.created > 0 {
                plan.created.push((group, series.created));
            }
            if matches!(series.value, Archived::Sum(_)) {
                plan.marks.push((group, series.marks));
                plan.has_removals |= series.marks.removed > 0;
            }
            let exemplar = series.exemplar.clone().filter(|_| names::takes_exemplars(key));
            plan.exemplars.extend(exemplar.map(|exemplar| (index, exemplar)));
        }
        (plan.helps, plan.units) = (owned(helps), owned(units));
        plan
    }

    /// The series of a key, made if it is new.
    pub(crate) fn index(&mut self, key: SeriesKey) -> SeriesIndex {
        if let Some(index) = self.by_key.get(&key) {
            return *index;
        }
        let index = self.series.len();
        let (family, refusal) = (self.family(&key.family), names::refusal(&key));
        let group = self.group(family, &key);
        let key = Arc::new(key);
        self.by_key.insert(key.clone(), index);
        self.series.push(TableSeries { key, family, group, refusal });
        self.column.push(None);
        index
    }

    /// The group of a new series.
    fn group(&mut self, family: FamilyIndex, key: &SeriesKey) -> GroupIndex {
        let fresh = self.created.len();
        let group = match key.kind {
            Kind::Histogram | Kind::Summary => {
                let mut labels = key.labels.clone();
                labels.remove("le");
                *self.by_label_set.entry((family, key.kind, labels)).or_insert(fresh)
            }
            _ => fresh,
        };
        if group == fresh {
            self.created.push(0);
        }
        group
    }

    /// Notes when a source began to count; 0 = not known.
    pub(crate) fn begin(&mut self, group: GroupIndex, created: u64) {
        self.created[group] = earlier(self.created[group], created);
    }

    /// Offers an exemplar, which is sound.
    pub(crate) fn exemplify(&mut self, series: SeriesIndex, exemplar: &Arc<Exemplar>) {
        let shown = self.exemplars.entry(series).or_insert_with(|| exemplar.clone());
        if std::ptr::eq(shown.newer(exemplar), exemplar.as_ref()) {
            *shown = exemplar.clone();
        }
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
