//! `?name[]=`: a part of a view.

use std::collections::HashSet;

use metrifold_merge::{Family, FamilyKind, View};

use crate::Format;

/// The samples with one of these names, as prometheus_client filters; and, beyond it, whole families by their name.
///
/// Times of creation go with the samples that they are about. Where `format` has histograms and summaries in one piece,
/// one of their samples stands for the whole.
pub fn filter(view: &View, names: &HashSet<String>, format: Format) -> View {
    let families = view.families.iter().filter_map(|family| part(family, names, format)).collect();
    View { families, sources: view.sources, ..View::default() }
}

fn part(family: &Family, names: &HashSet<String>, format: Format) -> Option<Family> {
    let rows: Vec<usize> =
        (0..family.series.len()).filter(|row| names.contains(&family.series[*row].name)).collect();
    let is_whole = matches!(family.kind, FamilyKind::Histogram | FamilyKind::Summary)
        && format.is_composite()
        && !rows.is_empty();
    if names.contains(&family.name) || is_whole || rows.len() == family.series.len() {
        return Some(family.clone());
    }
    (!rows.is_empty()).then(|| Family {
        series: rows.iter().map(|row| family.series[*row].clone()).collect(),
        values: rows.iter().map(|row| family.values[*row]).collect(),
        created: rows.iter().filter_map(|row| family.created.get(*row).copied()).collect(),
        exemplars: exemplars(family, &rows),
        ..family.clone()
    })
}

fn exemplars(family: &Family, rows: &[usize]) -> Vec<(usize, std::sync::Arc<metrifold_model::Exemplar>)> {
    let moved = family.exemplars.iter().filter_map(|(row, exemplar)| {
        let at = rows.binary_search(row).ok()?;
        Some((at, exemplar.clone()))
    });
    moved.collect()
}
