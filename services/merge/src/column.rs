//! The merged column: one accumulator per series.

use metrifold_model::{DoubleDouble, MergeMode, greater, lesser, newer};

/// What was merged into a series; `None` in the column until a source contributes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Merged {
    /// A sum, not yet rounded.
    Sum(DoubleDouble),
    /// A chosen value.
    Gauge(f64),
    /// The newest value.
    Stamped { value: f64, timestamp: f64 },
}

impl Merged {
    /// The value to show. A sum is never −0, as for prometheus_client, which begins with 0: a sign that depends on
    /// what was folded would otherwise show.
    pub(crate) fn value(self) -> f64 {
        match self {
            Merged::Sum(sum) => sum.round() + 0.0,
            Merged::Gauge(value) | Merged::Stamped { value, .. } => value,
        }
    }

    /// The value to add up further.
    pub(crate) fn sum(self) -> DoubleDouble {
        match self {
            Merged::Sum(sum) => sum,
            Merged::Gauge(value) | Merged::Stamped { value, .. } => DoubleDouble::from(value),
        }
    }
}

/// Adds to a sum; whether it could, the addend being finite.
pub(crate) fn add(cell: &mut Option<Merged>, addend: DoubleDouble) -> bool {
    if !addend.round().is_finite() {
        return false;
    }
    *cell = Some(Merged::Sum(match *cell {
        Some(Merged::Sum(sum)) => sum + addend,
        _ => addend,
    }));
    true
}

/// Offers a gauge value; by rules without an order. A stamp of 0 or less (or NaN) means that it was never set.
pub(crate) fn offer(cell: &mut Option<Merged>, mode: MergeMode, value: f64, timestamp: f64) {
    *cell = match (mode, *cell) {
        (MergeMode::MostRecent, Some(Merged::Stamped { value: shown, timestamp: since }))
            if timestamp > 0.0 =>
        {
            let (value, timestamp) = newer((shown, since), (value, timestamp));
            Some(Merged::Stamped { value, timestamp })
        }
        (MergeMode::MostRecent, _) if timestamp > 0.0 => Some(Merged::Stamped { value, timestamp }),
        (MergeMode::MostRecent, unset) => unset,
        (MergeMode::Min, Some(Merged::Gauge(shown))) => Some(Merged::Gauge(lesser(shown, value))),
        (MergeMode::Max, Some(Merged::Gauge(shown))) => Some(Merged::Gauge(greater(shown, value))),
        _ => Some(Merged::Gauge(value)),
    };
}
