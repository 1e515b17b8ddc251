//! Which rows of a family belong together.

use std::{borrow::Cow, collections::HashMap, ops::Range};

use metrifold_merge::{Family, FamilyKind, Series};
use metrifold_model::{Labels, format_float};

use crate::names::FamilyNames;

/// The rows of one `# TYPE`, in formats that name a counter or info as its samples.
pub(crate) struct Section<'a> {
    pub(crate) name: &'a str,
    pub(crate) rows: Range<usize>,
}

/// Clients of other languages may name counters without `_total`; then one family has two names.
pub(crate) fn sections<'a>(family: &Family, names: &'a FamilyNames) -> Vec<Section<'a>> {
    if !matches!(family.kind, FamilyKind::Counter | FamilyKind::Info) {
        return vec![Section { name: &names.family, rows: 0..family.series.len() }];
    }
    let mut end = 0;
    let runs = family.series.chunk_by(|one, two| one.name == two.name);
    runs.map(|run| {
        let rows = end..end + run.len();
        end = rows.end;
        Section { name: names.sample(&run[0].name), rows }
    })
    .collect()
}

/// The rows of each metric, that is of each label set without `le`, `quantile` or the state; in order of appearance.
pub(crate) fn metrics(family: &Family, rows: Range<usize>) -> Vec<Vec<usize>> {
    let own = match family.kind {
        FamilyKind::Histogram => "le",
        FamilyKind::Summary => "quantile",
        FamilyKind::StateSet => family.name.as_str(),
        FamilyKind::Counter | FamilyKind::Gauge | FamilyKind::Info => {
            return rows.map(|row| vec![row]).collect();
        }
    };
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut metrics: Vec<Vec<usize>> = Vec::new();
    for row in rows {
        let mut labels = family.series[row].labels.clone();
        labels.remove(own);
        let place = *places.entry(labels).or_insert(metrics.len());
        match metrics.get_mut(place) {
            Some(metric) => metric.push(row),
            None => metrics.push(vec![row]),
        }
    }
    metrics
}

/// What a row is within its metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Role {
    /// The one value of a counter, gauge or info, or a state.
    Value,
    /// A bucket with its upper bound.
    Bucket(f64),
    /// A quantile.
    Quantile(f64),
    Sum,
    Count,
}

impl Role {
    pub(crate) fn of(family: &Family, series: &Series) -> Role {
        let suffix = series.name.strip_prefix(family.name.as_str()).unwrap_or_default();
        match (family.kind, suffix) {
            (FamilyKind::Histogram | FamilyKind::Summary, "_sum") => Role::Sum,
            (FamilyKind::Histogram | FamilyKind::Summary, "_count") => Role::Count,
            (FamilyKind::Histogram, _) => Role::Bucket(number(series, "le")),
            (FamilyKind::Summary, _) => Role::Quantile(number(series, "quantile")),
            _ => Role::Value,
        }
    }
}

fn number(series: &Series, label: &str) -> f64 {
    series.labels.get(label).and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

/// A label's value; the numbers of `le` and `quantile` always in their one form, because readers compare them as text.
pub(crate) fn label_value<'a>(kind: FamilyKind, name: &str, value: &'a str) -> Cow<'a, str> {
    let is_number = matches!((kind, name), (FamilyKind::Histogram, "le") | (FamilyKind::Summary, "quantile"));
    match value.parse() {
        Ok(number) if is_number => Cow::Owned(format_float(number)),
        _ => Cow::Borrowed(value),
    }
}
