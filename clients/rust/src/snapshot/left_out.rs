//! What could not be taken over, by name.

use std::collections::BTreeMap;

use metrifold_model::{DescriptorError, limits};

/// Why (part of) a metric was left out of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum Reason {
    /// A counter, sum or summed gauge was NaN or infinite: its last good value is kept.
    #[error("a counter, sum or summed gauge is NaN or infinite; its last good value is kept")]
    NotFinite,
    /// A new series would have been one slot too many.
    #[error("the registry has more than {} slots (limit slots_per_source_max)", limits::SLOTS_PER_SOURCE_MAX)]
    TooManySlots,
    /// A name, label or help text is too long, or there are too many labels.
    #[error(
        "a name, label or help text is longer than its limit, or there are more than {} labels (limit labels_max)",
        limits::LABELS_MAX
    )]
    TooLong,
    /// A counter, bucket or count of observations was below 0: its last good value is kept.
    #[error("a counter, bucket or count of observations is below 0; its last good value is kept")]
    Negative,
    /// A name that cannot be shown.
    #[error("a metric or label has no name, or a label is called `__name__` or `__worker_…`")]
    Name,
    /// The same series twice in one gather: the first one counts.
    #[error("two collectors show the same series; the first one counts")]
    Duplicate,
    /// An untyped metric.
    #[error("an untyped metric has no rule by which to merge; make it a counter or a gauge")]
    Untyped,
}

impl Reason {
    /// Why a metric with such a descriptor is left out.
    pub(super) fn of(error: DescriptorError) -> Reason {
        if error.is_limit() { Reason::TooLong } else { Reason::Name }
    }
}

/// A metric that was left out at least once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The family's name, as the registry has it.
    pub metric: String,
    /// Why.
    pub reason: Reason,
    /// How many series were left out, summed over gathers.
    pub count: u64,
}

/// Bounded memory of what was left out.
#[derive(Debug, Default)]
pub(super) struct LeftOuts(BTreeMap<(String, Reason), u64>);

/// Most names that are kept; the rest is not named. Enough to find the fault, too few to become one.
const LEFT_OUT_MAX: usize = 100;

impl LeftOuts {
    pub(super) fn add(&mut self, metric: &str, reason: Reason) {
        let key = (metric.to_owned(), reason);
        if let Some(count) = self.0.get_mut(&key) {
            *count += 1;
        } else if self.0.len() < LEFT_OUT_MAX {
            self.0.insert(key, 1);
        }
    }

    pub(super) fn list(&self) -> Vec<LeftOut> {
        let entries = self.0.iter();
        entries
            .map(|((metric, reason), count)| LeftOut {
                metric: metric.clone(),
                reason: *reason,
                count: *count,
            })
            .collect()
    }
}
