//! From the table to families: one kind per name, buckets made cumulative, everything in order.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use metrifold_model::{DoubleDouble, Kind, Labels, format_float};

use crate::{
    Conflict, ConflictReason, Family, FamilyKind, Sample, View, names,
    table::{Series, Table},
};

/// Orders the table's series into a view.
pub(crate) fn view(table: Table) -> View {
    let Table { mut series, help, mut conflicts, .. } = table;
    series.retain(|series| series.merged.is_some());
    series.sort_by(|one, two| one.key.cmp(&two.key));

    let mut families = Vec::new();
    let mut taken = HashSet::new();
    for (kind, group) in by_claim(&series, &mut conflicts).into_values() {
        let name = &group[0].key.family;
        let exposed = names::exposed(name, kind);
        if let Some(name_taken) = exposed.iter().find(|exposed| taken.contains(exposed.as_str())) {
            let reason = ConflictReason::NameTaken(name_taken.clone());
            conflicts.insert(Conflict { family: name.clone(), reason });
            continue;
        }
        taken.extend(exposed);
        families.push(family(name, kind, group, &help));
    }
    families.sort_by(|one, two| one.name.cmp(&two.name));
    View { families, conflicts: conflicts.into_iter().collect() }
}

/// The series of each family under the one kind that is shown, in the order in which families may claim names: by kind,
/// then by name.
fn by_claim<'a>(
    series: &'a [Series],
    conflicts: &mut BTreeSet<Conflict>,
) -> BTreeMap<(u8, &'a str), (Kind, &'a [Series])> {
    let mut claims = BTreeMap::new();
    for family in series.chunk_by(|one, two| one.key.family == two.key.family) {
        let mut kinds = family.chunk_by(|one, two| one.key.kind == two.key.kind);
        let Some(shown) = kinds.next() else { continue };
        let kind = shown[0].key.kind;
        for left_out in kinds {
            let reason = ConflictReason::Kind { shown: kind, left_out: left_out[0].key.kind };
            conflicts.insert(Conflict { family: shown[0].key.family.clone(), reason });
        }
        claims.insert((kind.code(), shown[0].key.family.as_str()), (kind, shown));
    }
    claims
}

fn family(name: &str, kind: Kind, series: &[Series], help: &HashMap<String, String>) -> Family {
    let samples = match kind {
        Kind::Histogram => histogram(name, series),
        _ => series.iter().map(sample).collect(),
    };
    let help = help.get(name).cloned().unwrap_or_default();
    Family { name: name.to_owned(), help, kind: FamilyKind::from(kind), samples }
}

fn sample(series: &Series) -> Sample {
    let value = series.merged.map_or(0.0, |merged| merged.value());
    Sample { name: series.key.sample.clone(), labels: series.key.labels.clone(), value }
}

/// One label set of a histogram: merged, not yet cumulative buckets by their bound's order, and the sum.
#[derive(Default)]
struct Buckets {
    by_bound: BTreeMap<OrderedBound, DoubleDouble>,
    sum: Option<f64>,
}

/// A bound that is not NaN, in numeric order.
#[derive(Clone, Copy)]
struct OrderedBound(f64);

impl Ord for OrderedBound {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // -0 and 0 are one bound.
        (self.0 + 0.0).total_cmp(&(other.0 + 0.0))
    }
}

impl PartialOrd for OrderedBound {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for OrderedBound {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for OrderedBound {}

/// Buckets are added bound by bound over the union of all bounds and then made cumulative, so unequal bounds merge
/// without ever falling; the count is the last bucket's.
fn histogram(name: &str, series: &[Series]) -> Vec<Sample> {
    let mut by_labels: BTreeMap<Labels, Buckets> = BTreeMap::new();
    for series in series {
        let value = series.merged.map_or(0.0, |merged| merged.value());
        let mut labels = series.key.labels.clone();
        match names::bound_of(&labels).filter(|_| names::is_bucket(&series.key)) {
            Some(bound) => {
                labels.remove("le");
                let bucket = by_labels.entry(labels).or_default();
                *bucket.by_bound.entry(OrderedBound(bound)).or_default() += DoubleDouble::from(value);
            }
            None => by_labels.entry(labels).or_default().sum = Some(value),
        }
    }
    by_labels.into_iter().flat_map(|(labels, buckets)| cumulative(name, &labels, buckets)).collect()
}

fn cumulative(name: &str, labels: &Labels, mut buckets: Buckets) -> Vec<Sample> {
    // The format requires the last bucket, whatever the source sent.
    buckets.by_bound.entry(OrderedBound(f64::INFINITY)).or_default();
    let mut count = DoubleDouble::ZERO;
    let mut samples = Vec::with_capacity(buckets.by_bound.len() + 2);
    for (bound, bucket) in buckets.by_bound {
        count += bucket;
        let mut labels = labels.clone();
        labels.set("le", format_float(bound.0));
        samples.push(Sample { name: format!("{name}_bucket"), labels, value: count.round() });
    }
    if let Some(sum) = buckets.sum {
        samples.push(Sample { name: format!("{name}_sum"), labels: labels.clone(), value: sum });
    }
    samples.push(Sample { name: format!("{name}_count"), labels: labels.clone(), value: count.round() });
    samples
}
