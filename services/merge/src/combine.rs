//! The merged column: one accumulator per series.

use metrifold_model::{DoubleDouble, MergeMode, greater, lesser, newer};

/// What was merged into a series; `None` in the column until a source contributes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Merged {
    /// A sum, not yet rounded.
    Sum(DoubleDouble),
    /// A sum with a huge addend, times [`SCALE`]: it may go beyond the largest float and come back.
    Huge(DoubleDouble),
    /// A chosen value.
    Gauge(f64),
    /// The newest value.
    Stamped { value: f64, timestamp: f64 },
}

/// From here on, addends are huge. Of smaller ones 2⁶⁴ would have to come together to overflow.
const HUGE: f64 = f64::from_bits((1023 + 960) << 52); // 2⁹⁶⁰
/// Exact but for parts that are far beyond the precision of a huge sum.
const SCALE: f64 = 1.0 / (1u128 << 64) as f64;

fn scaled(sum: DoubleDouble) -> DoubleDouble {
    let (high, low) = sum.parts();
    DoubleDouble::from_parts(high * SCALE, low * SCALE)
}

impl Merged {
    /// The value to show. A sum is never −0, as for prometheus_client, which begins with 0: a sign that depends on
    /// what was folded would otherwise show.
    pub(crate) fn value(self) -> f64 {
        match self {
            Merged::Sum(sum) => sum.round() + 0.0,
            Merged::Huge(sum) => sum.round() / SCALE + 0.0,
            Merged::Gauge(value) | Merged::Stamped { value, .. } => value,
        }
    }

    /// The value to add up further.
    pub(crate) fn sum(self) -> DoubleDouble {
        match self {
            Merged::Sum(sum) => sum,
            Merged::Huge(_) => DoubleDouble::from(self.value()),
            Merged::Gauge(value) | Merged::Stamped { value, .. } => DoubleDouble::from(value),
        }
    }
}

/// Adds to a sum; whether it could, the addend being finite. Whether the sum is finite is known when all are added: on
/// the way there it would depend on the order.
pub(crate) fn add(cell: &mut Option<Merged>, addend: DoubleDouble) -> bool {
    let size = addend.round().abs();
    // Not for NaN.
    let is_usual = size < HUGE;
    if !is_usual && !size.is_finite() {
        return false;
    }
    *cell = Some(match *cell {
        Some(Merged::Huge(sum)) => Merged::Huge(sum + scaled(addend)),
        Some(Merged::Sum(sum)) if is_usual => Merged::Sum(sum + addend),
        Some(Merged::Sum(sum)) => Merged::Huge(scaled(sum) + scaled(addend)),
        _ if is_usual => Merged::Sum(addend),
        _ => Merged::Huge(scaled(addend)),
    });
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
