//! This process's own metrics among those of the workers.

use metrifold_merge::{Family, FamilyKind, Series, View};
use metrifold_model::{Labels, format_float};
use prometheus::proto::{Metric, MetricFamily, MetricType};

use crate::OwnMetrics;

/// The view with own families. Where workers have a family of the same name, theirs is shown.
pub(crate) fn with_own(view: &View, own: &OwnMetrics) -> View {
    let mut shown = view.clone();
    let is_shown = |name: &str| own.prefixes.iter().any(|prefix| name.starts_with(prefix));
    let families = own.registry.gather();
    for family in families.iter().filter(|family| is_shown(family.name())).filter_map(family) {
        if let Err(place) = shown.families.binary_search_by(|known| known.name.cmp(&family.name)) {
            shown.families.insert(place, family);
        }
    }
    shown
}

fn family(own: &MetricFamily) -> Option<Family> {
    let (name, kind) = match own.get_field_type() {
        MetricType::COUNTER => (own.name().strip_suffix("_total").unwrap_or(own.name()), FamilyKind::Counter),
        MetricType::GAUGE => (own.name(), FamilyKind::Gauge),
        MetricType::HISTOGRAM => (own.name(), FamilyKind::Histogram),
        // This process has none of the others.
        MetricType::SUMMARY | MetricType::UNTYPED => return None,
    };
    let samples: Vec<_> =
        own.get_metric().iter().flat_map(|metric| samples(own.name(), kind, metric)).collect();
    (!samples.is_empty()).then(|| Family::new(name, own.help(), kind, samples))
}

fn samples(name: &str, kind: FamilyKind, metric: &Metric) -> Vec<(Series, f64)> {
    let labels = Labels::new(metric.get_label().iter().map(|pair| (pair.name(), pair.value())));
    let sample = |suffix: &str, value: f64| {
        (Series { name: format!("{name}{suffix}"), labels: labels.clone() }, value)
    };
    match kind {
        FamilyKind::Counter => vec![sample("", metric.get_counter().get_value())],
        FamilyKind::Histogram => {
            let histogram = metric.get_histogram();
            let count = histogram.get_sample_count() as f64;
            let bounds = histogram.get_bucket().iter();
            let bounds = bounds.map(|bucket| (bucket.upper_bound(), bucket.cumulative_count() as f64));
            let finite = bounds.filter(|(bound, _)| bound.is_finite());
            let bucket = |(bound, count)| {
                let (mut series, count) = sample("_bucket", count);
                series.labels.set("le", format_float(bound));
                (series, count)
            };
            let buckets = finite.chain([(f64::INFINITY, count)]).map(bucket);
            buckets.chain([sample("_sum", histogram.get_sample_sum()), sample("_count", count)]).collect()
        }
        _ => vec![sample("", metric.get_gauge().get_value())],
    }
}
