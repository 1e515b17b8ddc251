//! `?name[]=`: a part of a view.

use std::collections::{BTreeSet, HashSet};

use metrifold_merge::{Family, FamilyKind, Series, View};

use crate::Format;

/// The samples with one of these names, as prometheus_client filters; and, beyond it, whole families by their name.
///
/// Times of creation go with the samples that they are about. Where `format` has histograms and summaries in one piece,
/// one of their samples stands for the whole. OpenMetrics 1.0 has sums and counts only in whole histograms: there a bucket
/// together with one of them stands for the whole, and without a bucket they are families of their own.
pub fn filter(view: &View, names: &HashSet<String>, format: Format) -> View {
    let families = view.families.iter().flat_map(|family| parts(family, names, format)).collect();
    View { families, sources: view.sources, ..View::default() }
}

fn parts(family: &Family, names: &HashSet<String>, format: Format) -> Vec<Family> {
    let rows: Vec<usize> =
        (0..family.series.len()).filter(|row| names.contains(&family.series[*row].name)).collect();
    if rows.is_empty() && !names.contains(&family.name) {
        return Vec::new();
    }
    let has_bucket = rows.iter().any(|row| is_bucket(&family.series[*row], family));
    let has_other = rows.iter().any(|row| !is_bucket(&family.series[*row], family));
    let is_whole = match family.kind {
        FamilyKind::Histogram if format == Format::OpenMetrics1 => has_bucket && has_other,
        FamilyKind::Histogram | FamilyKind::Summary => format.is_composite(),
        _ => false,
    };
    if names.contains(&family.name) || is_whole || rows.len() == family.series.len() {
        return vec![family.clone()];
    }
    match family.kind == FamilyKind::Histogram && format == Format::OpenMetrics1 && !has_bucket {
        true => by_name(family, &rows),
        false => vec![take(family, &rows)],
    }
}

fn is_bucket(series: &Series, of: &Family) -> bool {
    series.name.strip_prefix(&of.name) == Some("_bucket")
}

/// One family per name. A counter that is not called `_total` is of unknown type in OpenMetrics.
fn by_name(family: &Family, rows: &[usize]) -> Vec<Family> {
    let names: BTreeSet<&str> = rows.iter().map(|row| family.series[*row].name.as_str()).collect();
    let only = |name: &str| {
        let rows: Vec<usize> = rows.iter().copied().filter(|row| family.series[*row].name == name).collect();
        let (name, kind) = (name.to_owned(), FamilyKind::Counter);
        Family { name, kind, unit: "".into(), created: Vec::new(), ..take(family, &rows) }
    };
    names.into_iter().map(only).collect()
}

fn take(family: &Family, rows: &[usize]) -> Family {
    Family {
        series: rows.iter().map(|row| family.series[*row].clone()).collect(),
        values: rows.iter().map(|row| family.values[*row]).collect(),
        created: rows.iter().filter_map(|row| family.created.get(*row).copied()).collect(),
        exemplars: exemplars(family, rows),
        ..family.clone()
    }
}

fn exemplars(family: &Family, rows: &[usize]) -> Vec<(usize, std::sync::Arc<metrifold_model::Exemplar>)> {
    let moved = family.exemplars.iter().filter_map(|(row, exemplar)| {
        let at = rows.binary_search(row).ok()?;
        Some((at, exemplar.clone()))
    });
    moved.collect()
}
