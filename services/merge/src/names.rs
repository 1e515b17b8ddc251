//! Which names can be shown, and which samples belong to which type.
//!
//! A name may be any text: how a format that knows fewer shows it is the affair of the exposition.

use metrifold_model::{Kind, Labels, NAME_LABEL, SeriesKey};

use crate::{ConflictReason, FamilyKind};

/// Why a series cannot be shown at all, if so.
pub(crate) fn refusal(key: &SeriesKey) -> Option<ConflictReason> {
    if key.family.is_empty() {
        return Some(ConflictReason::Name(key.family.clone()));
    }
    if let Some((bad, _)) = key.labels.iter().find(|(name, _)| name.is_empty() || *name == NAME_LABEL) {
        return Some(ConflictReason::LabelName(bad.to_owned()));
    }
    if !belongs(key) {
        return Some(ConflictReason::SampleName(key.sample.clone()));
    }
    let has_good_bound = match key.kind {
        Kind::Histogram if is_bucket(key) => bound_of(&key.labels).is_some(),
        // With a bound of its own the sum would claim a place among the buckets.
        Kind::Histogram => key.labels.get("le").is_none(),
        _ => true,
    };
    (!has_good_bound).then(|| ConflictReason::Bound(key.labels.get("le").unwrap_or_default().to_owned()))
}

/// The names that a family's samples take, which no other family may have.
pub fn exposed(family: &str, kind: FamilyKind) -> Vec<String> {
    match kind {
        FamilyKind::Counter => vec![family.to_owned(), format!("{family}_total")],
        FamilyKind::Gauge | FamilyKind::StateSet => vec![family.to_owned()],
        FamilyKind::Info => vec![family.to_owned(), format!("{family}_info")],
        FamilyKind::Histogram => {
            ["", "_bucket", "_sum", "_count"].iter().map(|suffix| format!("{family}{suffix}")).collect()
        }
        FamilyKind::Summary => {
            ["", "_sum", "_count"].iter().map(|suffix| format!("{family}{suffix}")).collect()
        }
    }
}

/// Whether a family of this name and kind may have the unit.
pub(crate) fn takes_unit(family: &str, kind: Kind, unit: &str) -> bool {
    let is_suffix = family.strip_suffix(unit).is_some_and(|name| name.ends_with('_'));
    !unit.is_empty() && is_suffix && !kind.is_fact()
}

/// Whether the series' samples may have exemplars.
pub(crate) fn takes_exemplars(key: &SeriesKey) -> bool {
    key.kind == Kind::Counter || is_bucket(key)
}

/// Whether the series is a bucket.
pub(crate) fn is_bucket(key: &SeriesKey) -> bool {
    key.kind == Kind::Histogram && suffix(key) == Some("_bucket")
}

/// The upper bound of a bucket; −0 is 0.
pub(crate) fn bound_of(labels: &Labels) -> Option<f64> {
    let bound: f64 = labels.get("le")?.parse().ok()?;
    (!bound.is_nan()).then_some(bound + 0.0)
}

fn belongs(key: &SeriesKey) -> bool {
    matches!(
        (key.kind, suffix(key)),
        (Kind::Counter, Some("" | "_total"))
            | (Kind::Gauge(_), Some(""))
            | (Kind::Histogram, Some("_bucket" | "_sum"))
            | (Kind::Summary, Some("_sum" | "_count"))
            | (Kind::Info, Some("_info"))
    ) || (key.kind == Kind::StateSet && suffix(key) == Some("") && key.labels.get(&key.family).is_some())
}

fn suffix(key: &SeriesKey) -> Option<&str> {
    key.sample.strip_prefix(key.family.as_str())
}
