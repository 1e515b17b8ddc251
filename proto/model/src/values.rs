//! A source's cumulative values.

use crate::Annotations;

/// The whole state of a source at one moment: one `f64` per slot, and one time stamp per slot whose kind
/// [is time-stamped](crate::Kind::is_timestamped), in slot order.
///
/// Equality and hash are by bits, so that NaN equals itself and 0.0 differs from −0.0: two equal `Values` give equal
/// scrapes.
#[derive(Clone, Debug, Default)]
pub struct Values {
    /// One value per slot.
    pub slots: Vec<f64>,
    /// Unix seconds, one per time-stamped slot; 0.0 = never set.
    pub timestamps: Vec<f64>,
    /// Times of creation, exemplars and removals.
    pub annotations: Annotations,
}

impl Values {
    /// Values without annotations.
    pub fn new(slots: Vec<f64>, timestamps: Vec<f64>) -> Self {
        Values { slots, timestamps, annotations: Annotations::default() }
    }

    /// Values of a source without time-stamped slots.
    pub fn from_slots(slots: Vec<f64>) -> Self {
        Values::new(slots, Vec::new())
    }

    /// The value of a slot; slots that did not exist yet count as 0.
    pub fn slot(&self, index: usize) -> f64 {
        self.slots.get(index).copied().unwrap_or(0.0)
    }
}

impl PartialEq for Values {
    fn eq(&self, other: &Self) -> bool {
        same_bits(&self.slots, &other.slots)
            && same_bits(&self.timestamps, &other.timestamps)
            && self.annotations == other.annotations
    }
}

impl Eq for Values {}

impl std::hash::Hash for Values {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        for column in [&self.slots, &self.timestamps] {
            column.len().hash(state);
            column.iter().for_each(|value| value.to_bits().hash(state));
        }
        // One byte in the common case: a model checker hashes millions of these.
        self.annotations.is_empty().hash(state);
        if !self.annotations.is_empty() {
            self.annotations.hash(state);
        }
    }
}

fn same_bits(left: &[f64], right: &[f64]) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(a, b)| a.to_bits() == b.to_bits())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equality_is_by_bits() {
        assert_eq!(Values::from_slots(vec![f64::NAN]), Values::from_slots(vec![f64::NAN]));
        assert_ne!(Values::from_slots(vec![0.0]), Values::from_slots(vec![-0.0]));
        assert_ne!(Values::from_slots(vec![]), Values::from_slots(vec![0.0]));
        let annotations = Annotations { created: vec![1], ..Annotations::default() };
        assert_ne!(Values::default(), Values { annotations, ..Values::default() });
    }
}
