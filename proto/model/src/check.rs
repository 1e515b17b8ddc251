//! What a descriptor must be for a store to take it, and what its slot may hold.

use crate::{Descriptor, Kind, Labels, limits};

/// The label in which Prometheus keeps a metric's own name: as a label of a series it would cost the whole page.
pub const NAME_LABEL: &str = "__name__";
/// What stands before the name of a worker's label in the archive, so that it is never taken for a label of the series.
pub const WORKER_LABEL_PREFIX: &str = "__worker_";

/// Why no store takes a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum DescriptorError {
    /// The name of a family, sample or label.
    #[error("limit name_bytes_max")]
    NameTooLong,
    /// Too many labels.
    #[error("limit labels_max")]
    TooManyLabels,
    /// The value of a label.
    #[error("limit label_value_bytes_max")]
    LabelValueTooLong,
    /// The help text.
    #[error("limit help_bytes_max")]
    HelpTooLong,
    /// The unit.
    #[error("limit unit_bytes_max")]
    UnitTooLong,
    /// A family, sample or label without a name, or a label with a name that is reserved.
    #[error("a family, sample or label has no name, or a label is called __name__ or __worker_…")]
    Name,
}

impl DescriptorError {
    /// Whether a limit is exceeded; else a name cannot be used.
    pub fn is_limit(self) -> bool {
        self != DescriptorError::Name
    }
}

/// Checks labels, of a series or of a worker.
///
/// # Errors
/// What is wrong with the first that is.
pub fn check_labels(labels: &Labels) -> Result<(), DescriptorError> {
    if labels.len() > limits::LABELS_MAX {
        return Err(DescriptorError::TooManyLabels);
    }
    labels.iter().try_for_each(|(name, value)| {
        check_name(name)?;
        if name == NAME_LABEL || name.starts_with(WORKER_LABEL_PREFIX) {
            return Err(DescriptorError::Name);
        }
        match value.len() > limits::LABEL_VALUE_BYTES_MAX {
            true => Err(DescriptorError::LabelValueTooLong),
            false => Ok(()),
        }
    })
}

fn check_name(name: &str) -> Result<(), DescriptorError> {
    match name.len() {
        0 => Err(DescriptorError::Name),
        length if length > limits::NAME_BYTES_MAX => Err(DescriptorError::NameTooLong),
        _ => Ok(()),
    }
}

/// What a slot may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SlotRule {
    /// Any number: a gauge that is not added up.
    Any,
    /// Any number, and a time stamp.
    Stamped,
    /// A finite number, since NaN or an infinity would stay in a sum for ever.
    Finite,
    /// A finite number that is not below 0: what counts.
    Count,
}

impl SlotRule {
    /// Whether the slot may hold this.
    pub fn allows(self, value: f64) -> bool {
        match self {
            SlotRule::Any | SlotRule::Stamped => true,
            SlotRule::Finite => value.is_finite(),
            SlotRule::Count => value.is_finite() && value >= 0.0,
        }
    }
}

impl Descriptor {
    /// Whether a store takes it.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self) -> Result<(), DescriptorError> {
        check_name(&self.family)?;
        check_name(&self.sample)?;
        if self.help.len() > limits::HELP_BYTES_MAX {
            return Err(DescriptorError::HelpTooLong);
        }
        if self.unit.len() > limits::UNIT_BYTES_MAX {
            return Err(DescriptorError::UnitTooLong);
        }
        check_labels(&self.labels)
    }

    /// What its slot may hold: counters, buckets and counts of observations are never below 0, but sums of observations may
    /// be.
    pub fn rule(&self) -> SlotRule {
        match self.kind {
            Kind::Counter => SlotRule::Count,
            Kind::Histogram if self.labels.get("le").is_some() => SlotRule::Count,
            Kind::Summary if self.sample.strip_prefix(&self.family) == Some("_count") => SlotRule::Count,
            kind if kind.is_subtractable() => SlotRule::Finite,
            kind if kind.is_timestamped() => SlotRule::Stamped,
            _ => SlotRule::Any,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GaugeMode;

    fn with_labels<const N: usize>(labels: [(&str, &str); N]) -> Descriptor {
        Descriptor::new(Kind::Counter, "c", "c_total", Labels::new(labels), "")
    }

    #[test]
    fn names_and_lengths_that_no_store_takes_are_told() {
        let long = |bytes: usize| "x".repeat(bytes + 1);
        let plain = with_labels([]);
        let many = Labels::new((0..=limits::LABELS_MAX).map(|index| (format!("l{index}"), "")));
        let cases = [
            (Descriptor { family: String::new(), ..plain.clone() }, DescriptorError::Name),
            (Descriptor { sample: String::new(), ..plain.clone() }, DescriptorError::Name),
            (with_labels([("", "x")]), DescriptorError::Name),
            (with_labels([("__name__", "x")]), DescriptorError::Name),
            (with_labels([("__worker_zone", "x")]), DescriptorError::Name),
            (
                Descriptor { family: long(limits::NAME_BYTES_MAX), ..plain.clone() },
                DescriptorError::NameTooLong,
            ),
            (with_labels([(&long(limits::NAME_BYTES_MAX), "")]), DescriptorError::NameTooLong),
            (with_labels([("a", &long(limits::LABEL_VALUE_BYTES_MAX))]), DescriptorError::LabelValueTooLong),
            (
                Descriptor { help: long(limits::HELP_BYTES_MAX), ..plain.clone() },
                DescriptorError::HelpTooLong,
            ),
            (
                Descriptor { unit: long(limits::UNIT_BYTES_MAX), ..plain.clone() },
                DescriptorError::UnitTooLong,
            ),
            (Descriptor { labels: many, ..plain.clone() }, DescriptorError::TooManyLabels),
        ];
        for (descriptor, error) in cases {
            assert_eq!(descriptor.check(), Err(error), "{descriptor:?}");
        }
        assert_eq!(plain.check(), Ok(()));
        assert_eq!(with_labels([("__other", "x"), ("é.x", "")]).check(), Ok(()));
    }

    #[test]
    fn what_counts_is_never_below_zero_and_what_is_added_up_is_finite() {
        let slot = |kind, sample: &str, labels: Labels| Descriptor::new(kind, "f", sample, labels, "").rule();
        let none = Labels::default;
        assert_eq!(slot(Kind::Counter, "f_total", none()), SlotRule::Count);
        assert_eq!(slot(Kind::Histogram, "f_bucket", Labels::new([("le", "1.0")])), SlotRule::Count);
        assert_eq!(slot(Kind::Histogram, "f_sum", none()), SlotRule::Finite);
        assert_eq!(slot(Kind::Summary, "f_count", none()), SlotRule::Count);
        assert_eq!(slot(Kind::Summary, "f_sum", none()), SlotRule::Finite);
        assert_eq!(slot(Kind::Gauge(GaugeMode::Sum), "f", none()), SlotRule::Finite);
        assert_eq!(slot(Kind::Gauge(GaugeMode::LiveSum), "f", none()), SlotRule::Any);
        assert_eq!(slot(Kind::Gauge(GaugeMode::MostRecent), "f", none()), SlotRule::Stamped);
        let allowed = |rule: SlotRule| [-1.0, -0.0, 1.0, f64::NAN, f64::INFINITY].map(|of| rule.allows(of));
        assert_eq!(allowed(SlotRule::Any), [true; 5]);
        assert_eq!(allowed(SlotRule::Finite), [true, true, true, false, false]);
        assert_eq!(allowed(SlotRule::Count), [false, true, true, false, false]);
    }
}
