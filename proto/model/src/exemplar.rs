//! One event that stands for many.

use crate::{Labels, limits};

/// An event that a counter or a bucket counted, usually with the id of its trace (OpenMetrics 1.0, "Exemplars").
#[derive(Clone, Debug)]
pub struct Exemplar {
    /// What identifies the event, such as `trace_id`; names and values together at most
    /// [`EXEMPLAR_CHARACTERS_MAX`](crate::limits::EXEMPLAR_CHARACTERS_MAX) characters.
    pub labels: Labels,
    /// What was counted: the observation, or the increment.
    pub value: f64,
    /// When it happened, Unix seconds; 0.0 = not known.
    pub timestamp: f64,
}

impl Exemplar {
    /// Whether every exposition format can carry it: label names as OpenMetrics wants them and in bounds, and a time that
    /// is one. Anything else would cost the whole scrape.
    pub fn is_sound(&self) -> bool {
        let characters = self.labels.iter().map(|(name, value)| name.chars().count() + value.chars().count());
        characters.sum::<usize>() <= limits::EXEMPLAR_CHARACTERS_MAX
            && self.labels.iter().all(|(name, _)| is_label_name(name))
            && self.timestamp.is_finite()
            && self.timestamp >= 0.0
    }

    /// The newer of two. Of equal times the larger by value and labels, so that the order of workers does not show.
    pub fn newer<'a>(&'a self, other: &'a Exemplar) -> &'a Exemplar {
        let by = |one: &Exemplar, two: &Exemplar| {
            let numbers = one.timestamp.total_cmp(&two.timestamp).then(one.value.total_cmp(&two.value));
            numbers.then_with(|| one.labels.cmp(&two.labels))
        };
        if by(other, self).is_gt() { other } else { self }
    }
}

fn is_label_name(name: &str) -> bool {
    let may_begin = name.bytes().next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_');
    may_begin && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

// By bits, as for values.
impl PartialEq for Exemplar {
    fn eq(&self, other: &Self) -> bool {
        self.labels == other.labels
            && self.value.to_bits() == other.value.to_bits()
            && self.timestamp.to_bits() == other.timestamp.to_bits()
    }
}

impl Eq for Exemplar {}

impl std::hash::Hash for Exemplar {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (&self.labels, self.value.to_bits(), self.timestamp.to_bits()).hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_a_scrape_is_not_sound() {
        let exemplar = |name: &str, value: String, timestamp| Exemplar {
            labels: Labels::new([(name, value)]),
            value: 1.0,
            timestamp,
        };
        assert!(exemplar("trace_id", "é".repeat(120), 0.0).is_sound());
        for (name, length, timestamp) in
            [("trace_id", 121, 1.0), ("trace-id", 1, 1.0), ("", 1, 1.0), ("t", 1, f64::NAN), ("t", 1, -1.0)]
        {
            assert!(!exemplar(name, "x".repeat(length), timestamp).is_sound(), "{name} {length} {timestamp}");
        }
    }

    #[test]
    fn the_newer_one_does_not_depend_on_the_order() {
        let exemplar = |timestamp, value| Exemplar { labels: Labels::default(), value, timestamp };
        let (old, new, equal) = (exemplar(1.0, 9.0), exemplar(2.0, 1.0), exemplar(2.0, 3.0));
        for (one, two, newer) in [(&old, &new, &new), (&new, &equal, &equal), (&old, &old, &old)] {
            assert_eq!(one.newer(two), newer);
            assert_eq!(two.newer(one), newer);
        }
    }
}
