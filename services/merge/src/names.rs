//! Which names the text format 0.0.4 can carry, and which samples belong to which type.

use metrifold_model::{Kind, Labels, SeriesKey};

use crate::ConflictReason;

/// Why a series cannot be shown at all, if so.
pub(crate) fn refusal(key: &SeriesKey) -> Option<ConflictReason> {
    if let Some(bad) = [&key.family, &key.sample].into_iter().find(|name| !is_metric_name(name)) {
        return Some(ConflictReason::Name(bad.clone()));
    }
    if let Some((bad, _)) = key.labels.iter().find(|(name, _)| !is_label_name(name)) {
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
pub(crate) fn exposed(family: &str, kind: Kind) -> Vec<String> {
    match kind {
        Kind::Counter => vec![family.to_owned(), format!("{family}_total")],
        Kind::Gauge(_) => vec![family.to_owned()],
        Kind::Histogram => {
            ["", "_bucket", "_sum", "_count"].iter().map(|suffix| format!("{family}{suffix}")).collect()
        }
        Kind::Summary => ["", "_sum", "_count"].iter().map(|suffix| format!("{family}{suffix}")).collect(),
    }
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
    )
}

fn suffix(key: &SeriesKey) -> Option<&str> {
    key.sample.strip_prefix(key.family.as_str())
}

fn is_metric_name(name: &str) -> bool {
    is_name(name, |byte| byte == b'_' || byte == b':')
}

fn is_label_name(name: &str) -> bool {
    is_name(name, |byte| byte == b'_')
}

fn is_name(name: &str, also: fn(u8) -> bool) -> bool {
    let may_begin = name.bytes().next().is_some_and(|first| first.is_ascii_alphabetic() || also(first));
    may_begin && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || also(byte))
}
