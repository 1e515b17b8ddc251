//! Sums in twice the precision of `f64`, rounded once at the end.

/// The unevaluated sum of two `f64`s, `high + low`, with |low| at most half a unit in the last place of `high`.
///
/// 106 bits hold any sum of counts and of observations of comparable size exactly, so the order in which workers are
/// added does not show in the rounded result. Algorithms: Knuth's TwoSum; accurate double-double addition (Joldes,
/// Muller, Popescu 2017, algorithm 6, relative error below 3 · 2⁻¹⁰⁶).
#[derive(Clone, Copy, Debug, Default)]
pub struct DoubleDouble {
    high: f64,
    low: f64,
}

impl DoubleDouble {
    /// Zero, the sum of nothing.
    pub const ZERO: DoubleDouble = DoubleDouble { high: 0.0, low: 0.0 };

    /// `minuend - subtrahend`, exactly.
    pub fn difference(minuend: f64, subtrahend: f64) -> Self {
        let (high, low) = two_sum(minuend, -subtrahend);
        DoubleDouble { high, low }
    }

    /// Rebuilds a stored sum from its [parts](DoubleDouble::parts).
    pub fn from_parts(high: f64, low: f64) -> Self {
        let (high, low) = two_sum(high, low);
        DoubleDouble { high, low }
    }

    /// High and low part, for storage.
    pub fn parts(self) -> (f64, f64) {
        (self.high, self.low)
    }

    /// The sum rounded to nearest.
    pub fn round(self) -> f64 {
        self.high
    }
}

impl From<f64> for DoubleDouble {
    fn from(value: f64) -> Self {
        DoubleDouble { high: value, low: 0.0 }
    }
}

impl std::ops::Add for DoubleDouble {
    type Output = DoubleDouble;

    fn add(self, other: DoubleDouble) -> DoubleDouble {
        let (high, high_error) = two_sum(self.high, other.high);
        if !high.is_finite() {
            // An overflow or an infinite addend: the error terms are NaN and would poison the sum.
            return DoubleDouble { high, low: 0.0 };
        }
        let (low, low_error) = two_sum(self.low, other.low);
        let (high, carried) = fast_two_sum(high, high_error + low);
        let (high, low) = fast_two_sum(high, low_error + carried);
        DoubleDouble { high, low }
    }
}

impl std::ops::AddAssign for DoubleDouble {
    fn add_assign(&mut self, other: DoubleDouble) {
        *self = *self + other;
    }
}

impl std::iter::Sum for DoubleDouble {
    fn sum<I: Iterator<Item = DoubleDouble>>(addends: I) -> Self {
        addends.fold(DoubleDouble::ZERO, std::ops::Add::add)
    }
}

impl PartialEq for DoubleDouble {
    fn eq(&self, other: &Self) -> bool {
        self.high.to_bits() == other.high.to_bits() && self.low.to_bits() == other.low.to_bits()
    }
}

impl Eq for DoubleDouble {}

fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_seen = sum - a;
    let error = (a - (sum - b_seen)) + (b - b_seen);
    (sum, if sum.is_finite() { error } else { 0.0 })
}

/// TwoSum for |a| >= |b|.
fn fast_two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    (sum, b - (sum - a))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_plain_addition_loses_is_kept() {
        let sum: DoubleDouble = [1e16, 1.0, -1e16].into_iter().map(DoubleDouble::from).sum();
        assert_eq!(sum.round(), 1.0);
    }

    #[test]
    fn value_minus_itself_is_exactly_zero() {
        assert_eq!(DoubleDouble::difference(0.1, 0.1).parts(), (0.0, 0.0));
    }

    #[test]
    fn infinities_pass_through_without_becoming_nan() {
        let sum = DoubleDouble::from(f64::INFINITY) + DoubleDouble::from(1.0);
        assert_eq!(sum.round(), f64::INFINITY);
        let overflow = DoubleDouble::from(f64::MAX) + DoubleDouble::from(f64::MAX);
        assert_eq!(overflow.round(), f64::INFINITY);
    }

    proptest! {
        /// Observations of latencies and sizes: any order, any grouping, the same bits.
        #[test]
        fn order_and_grouping_do_not_show(
            mut addends in proptest::collection::vec(1e-6f64..1e9, 1..200),
            split in 0usize..200,
            seed in any::<u64>(),
        ) {
            let forward: DoubleDouble = addends.iter().copied().map(DoubleDouble::from).sum();
            let mut state = seed | 1;
            for index in (1..addends.len()).rev() {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                addends.swap(index, (state >> 33) as usize % (index + 1));
            }
            let split = split.min(addends.len());
            let left: DoubleDouble = addends[..split].iter().copied().map(DoubleDouble::from).sum();
            let right: DoubleDouble = addends[split..].iter().copied().map(DoubleDouble::from).sum();
            prop_assert_eq!(forward.round().to_bits(), (left + right).round().to_bits());
        }
    }
}
