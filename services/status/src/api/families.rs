//! `/api/v1/families`: what each family costs, and which labels make it so large.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use axum::{Json, extract::State};
use metrifold_merge::{Family, View};
use metrifold_model::{DescriptorHash, DescriptorList};
use metrifold_session::{Archived, ShardSnapshot};
use serde::{Deserialize, Serialize};

use super::{
    bounds::{
        FAMILIES_LIMIT_DEFAULT, FAMILIES_LIMIT_MAX, FAMILY_LABELS_MAX, LABEL_VALUE_CHARACTERS_MAX,
        LABEL_VALUES_MAX,
    },
    error::ApiError,
    query::{self, Asked},
};
use crate::Console;

/// `?namespace=&offset=&limit=`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FamiliesQuery {
    namespace: Option<String>,
    offset: Option<usize>,
    limit: Option<usize>,
}

#[derive(Serialize)]
pub(super) struct Families {
    namespace: String,
    total: usize,
    /// Of all families.
    series: usize,
    bytes: usize,
    offset: usize,
    limit: usize,
    /// The costliest first.
    families: Vec<FamilyEntry>,
}

#[derive(Serialize)]
struct FamilyEntry {
    name: String,
    kind: &'static str,
    help: String,
    /// Series of the merged view.
    series: usize,
    /// Values in the store, over all workers.
    values: usize,
    /// Bytes of these.
    bytes: usize,
    labels: Vec<LabelEntry>,
}

#[derive(Serialize)]
struct LabelEntry {
    name: String,
    /// How many different values it has.
    values_total: usize,
    /// Those with the most series.
    values: Vec<LabelValue>,
}

#[derive(Serialize)]
struct LabelValue {
    value: String,
    series: usize,
}

pub(super) async fn families(
    State(console): State<Arc<Console>>,
    Asked(query): Asked<FamiliesQuery>,
) -> Result<Json<Families>, ApiError> {
    let limit = query::limit(query.limit, FAMILIES_LIMIT_DEFAULT, FAMILIES_LIMIT_MAX)?;
    let (namespace, seen) = query::read_namespace(&console, query.namespace.as_deref())?;
    let work = move || {
        let snapshots = seen.snapshots();
        let view = console.survey(&namespace, &snapshots);
        let costs = costs(&snapshots);
        let cost = |family: &Family| costs.get(family.name.as_str()).copied().unwrap_or_default();
        let ranked = ranked(&view, cost);
        let page = query::page(query.offset, limit, ranked.len());
        Families {
            namespace: namespace.to_string(),
            total: ranked.len(),
            series: ranked.iter().map(|family| family.series.len()).sum(),
            bytes: costs.values().map(|cost| cost.bytes).sum(),
            offset: page.start,
            limit,
            families: ranked[page].iter().map(|family| entry(family, cost(family))).collect(),
        }
    };
    tokio::task::spawn_blocking(work).await.map(Json).map_err(|_| ApiError::Broken)
}

/// What a family takes in the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cost {
    values: usize,
    bytes: usize,
}

impl Cost {
    fn add(&mut self, values: usize, bytes: usize) {
        self.values += values;
        self.bytes += bytes;
    }
}

/// The costs of all families: values of live sources, of tombstones, and of the archive. Sources with equal
/// descriptors, as workers of one program have them, are counted once and multiplied.
fn costs(shards: &[Arc<ShardSnapshot>]) -> HashMap<String, Cost> {
    let mut lists: HashMap<(usize, DescriptorHash), (&DescriptorList, [usize; 2])> = HashMap::new();
    let mut count = |list, has_base: bool| {
        let list: &DescriptorList = list;
        let (_, columns) = lists.entry((list.len(), list.hash())).or_insert((list, [0, 0]));
        columns[usize::from(has_base)] += 1;
    };
    for shard in shards {
        shard.records.values().for_each(|of| count(&of.descriptors, !of.base.slots.is_empty()));
        shard.tombstones.values().for_each(|of| count(&of.descriptors, false));
    }
    let mut costs: HashMap<String, Cost> = HashMap::new();
    for (list, [plain, based]) in lists.into_values() {
        let columns = plain + 2 * based;
        for run in list.entries().chunk_by(|one, other| one.family == other.family) {
            let slots: usize = run.iter().map(|of| 1 + usize::from(of.kind.is_timestamped())).sum();
            cost_of(&mut costs, &run[0].family).add(run.len() * columns, slots * size_of::<f64>() * columns);
        }
    }
    for (key, archived) in shards.iter().flat_map(|shard| &shard.archive.series) {
        cost_of(&mut costs, &key.family).add(1, archived_bytes(&archived.value));
    }
    costs
}

fn cost_of<'a>(costs: &'a mut HashMap<String, Cost>, family: &str) -> &'a mut Cost {
    if !costs.contains_key(family) {
        costs.insert(family.to_owned(), Cost::default());
    }
    costs.get_mut(family).expect("it was put there if it was missing")
}

fn archived_bytes(archived: &Archived) -> usize {
    match archived {
        Archived::Sum(_) | Archived::MostRecent { .. } => 2 * size_of::<f64>(),
        Archived::Min(_) | Archived::Max(_) => size_of::<f64>(),
    }
}

/// The costliest first; equal ones by name.
fn ranked(view: &View, cost: impl Fn(&Family) -> Cost) -> Vec<&Family> {
    let mut families: Vec<_> = view.families.iter().collect();
    families.sort_by_key(|family| std::cmp::Reverse((cost(family).bytes, family.series.len())));
    families
}

fn entry(family: &Family, cost: Cost) -> FamilyEntry {
    FamilyEntry {
        name: family.name.clone(),
        kind: family.kind.name(),
        help: family.help.to_string(),
        series: family.series.len(),
        values: cost.values,
        bytes: cost.bytes,
        labels: labels(family),
    }
}

/// The labels with the most values. A histogram's bounds are no choice of the application's users, and left out.
fn labels(family: &Family) -> Vec<LabelEntry> {
    let mut values: BTreeMap<&str, HashMap<&str, usize>> = BTreeMap::new();
    for (name, value) in family.series.iter().flat_map(|series| series.labels.iter()) {
        if name != "le" {
            *values.entry(name).or_default().entry(value).or_default() += 1;
        }
    }
    let mut labels: Vec<_> = values.into_iter().map(|(name, values)| label(name, values)).collect();
    labels.sort_by_key(|label| std::cmp::Reverse(label.values_total));
    labels.truncate(FAMILY_LABELS_MAX);
    labels
}

fn label(name: &str, values: HashMap<&str, usize>) -> LabelEntry {
    let values_total = values.len();
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_unstable_by_key(|(value, series)| (std::cmp::Reverse(*series), *value));
    values.truncate(LABEL_VALUES_MAX);
    let values = values.into_iter().map(|(value, series)| LabelValue { value: cut(value), series });
    LabelEntry { name: name.to_owned(), values_total, values: values.collect() }
}

fn cut(value: &str) -> String {
    match value.char_indices().nth(LABEL_VALUE_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}
