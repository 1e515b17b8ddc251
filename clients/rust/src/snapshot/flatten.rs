//! One gathered metric as slots and what they show now.

use metrifold_model::{Descriptor, Kind, Labels};
use prometheus::proto::{Histogram, Metric, MetricFamily, MetricType};

use super::{GaugeModes, bound::bound_text};

/// What a metric shows: one value per slot, in the order of [`descriptors`].
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shown {
    /// Counts first, then what is no count: the sum of observations.
    pub(super) values: Vec<f64>,
    /// How many of `values` are counts, which fall only if the metric began again.
    pub(super) counts: usize,
    /// A histogram's bounds, `+Inf` included.
    pub(super) bounds: Vec<f64>,
}

impl Shown {
    /// What `metric` of `family` shows; `None` for an untyped one.
    pub(super) fn of(family: &MetricFamily, metric: &Metric) -> Option<Shown> {
        Some(match family.get_field_type() {
            MetricType::COUNTER => Shown::value(metric.get_counter().get_value()),
            MetricType::GAUGE => Shown::value(metric.get_gauge().get_value()),
            MetricType::HISTOGRAM => Shown::histogram(metric.get_histogram()),
            MetricType::SUMMARY => {
                let summary = metric.get_summary();
                let values = vec![summary.sample_count() as f64, summary.sample_sum()];
                Shown { values, counts: 1, bounds: Vec::new() }
            }
            MetricType::UNTYPED => return None,
        })
    }

    fn value(value: f64) -> Shown {
        Shown { values: vec![value], counts: 1, bounds: Vec::new() }
    }

    /// Takes the counts apart; rust-prometheus leaves `+Inf` to the reader, other collectors may not.
    fn histogram(histogram: &Histogram) -> Shown {
        let buckets = histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound() < f64::INFINITY);
        let (mut bounds, mut values, mut below) = (Vec::new(), Vec::new(), 0);
        for bucket in buckets {
            bounds.push(bucket.upper_bound());
            values.push(bucket.cumulative_count().saturating_sub(below) as f64);
            below = below.max(bucket.cumulative_count());
        }
        bounds.push(f64::INFINITY);
        values.push(histogram.get_sample_count().saturating_sub(below) as f64);
        let counts = values.len();
        values.push(histogram.get_sample_sum());
        Shown { values, counts, bounds }
    }

    /// Whether the metric began again since it showed `before`. Its counts decide: a sum may fall by a negative
    /// observation, but not while its count stands still.
    pub(super) fn has_fallen_since(&self, before: &Shown) -> bool {
        let fell = |(now, before): (&f64, &f64)| now < before;
        let (counts, sums) = self.values.split_at(self.counts);
        let (counts_before, sums_before) = before.values.split_at(before.counts);
        let count_fell = counts.iter().zip(counts_before).any(fell);
        count_fell || (counts == counts_before && sums.iter().zip(sums_before).any(fell))
    }
}

/// The labels of a metric.
pub(super) fn labels(metric: &Metric) -> Labels {
    Labels::new(metric.get_label().iter().map(|label| (label.name(), label.value())))
}

/// The kind of a family's slots.
pub(super) fn kind(family: &MetricFamily, modes: &GaugeModes) -> Kind {
    match family.get_field_type() {
        MetricType::GAUGE | MetricType::UNTYPED => Kind::Gauge(modes.of(family.name())),
        MetricType::COUNTER => Kind::Counter,
        MetricType::HISTOGRAM => Kind::Histogram,
        MetricType::SUMMARY => Kind::Summary,
    }
}

/// The descriptors of a metric's slots, in the order of [`Shown::values`].
pub(super) fn descriptors(
    family: &MetricFamily,
    kind: Kind,
    labels: &Labels,
    bounds: &[f64],
) -> Vec<Descriptor> {
    let (name, help) = (family.name(), family.help());
    let slot =
        |suffix: &str, labels: Labels| Descriptor::new(kind, name, format!("{name}{suffix}"), labels, help);
    match kind {
        Kind::Counter => {
            let family = name.strip_suffix("_total").unwrap_or(name);
            vec![Descriptor::new(kind, family, name, labels.clone(), help)]
        }
        // A registry has no others.
        Kind::Gauge(_) | Kind::Info | Kind::StateSet => vec![slot("", labels.clone())],
        Kind::Summary => vec![slot("_count", labels.clone()), slot("_sum", labels.clone())],
        Kind::Histogram => {
            let bucket = |bound: &f64| {
                let mut labels = labels.clone();
                labels.set("le", bound_text(*bound));
                slot("_bucket", labels)
            };
            bounds.iter().map(bucket).chain([slot("_sum", labels.clone())]).collect()
        }
    }
}
