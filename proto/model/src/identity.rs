//! Who pushes, where to, and in which order.

use crate::{LabelNames, Labels, limits};

/// Random 64-bit id of a source; a fork, a restart or an answer `expired` makes a new one. Printed as 16 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Incarnation(pub u64);

impl std::fmt::Display for Incarnation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl std::str::FromStr for Incarnation {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Incarnation)
    }
}

/// Random id of a shard's contents; a store that lost them gets another one. Never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub u64);

/// Number of a push within its incarnation, from 1 up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Seq(pub u64);

impl Seq {
    /// The number after this one. The highest has none, and stays; no store takes a push with it.
    pub fn next(self) -> Seq {
        Seq(self.0.saturating_add(1))
    }
}

/// The prefix that keeps applications apart in one store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Namespace(String);

/// A namespace that cannot be a key prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "namespace {given:?} is not allowed: it must have 1 to {} bytes and none of `{{`, `}}`, `/` or control characters",
    limits::NAMESPACE_BYTES_MAX
)]
pub struct NamespaceError {
    /// What was given.
    pub given: String,
}

impl Namespace {
    /// Checks that `name` can be a key prefix: 1 to [`limits::NAMESPACE_BYTES_MAX`] bytes, without `{`, `}`, `/`
    /// (they would break the Redis Cluster hash tag) and without control characters.
    pub fn new(name: impl Into<String>) -> Result<Self, NamespaceError> {
        let given = name.into();
        let forbidden = |character: char| matches!(character, '{' | '}' | '/') || character.is_control();
        if given.is_empty() || given.len() > limits::NAMESPACE_BYTES_MAX || given.contains(forbidden) {
            return Err(NamespaceError { given });
        }
        Ok(Namespace(given))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Namespace("metrifold".into())
    }
}

impl std::fmt::Display for Namespace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which process a source is, for people and for per-worker series; identity proper is the [`Incarnation`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Worker {
    /// Host, pod or container.
    pub instance: String,
    /// The process's pid; for a foreign file its process identifier, which need not be a number.
    pub process: String,
    /// Constant labels of the worker (`METRIFOLD_LABELS`).
    pub labels: Labels,
}

/// The label in which a worker's [instance](Worker::instance) is shown.
pub const HOST_LABEL: &str = "host";

impl Worker {
    /// What the worker has of the labels `names`: [`HOST_LABEL`], and its constant ones.
    pub fn labels_of(&self, names: &LabelNames) -> Labels {
        let mut labels = Labels::new(self.labels.iter().filter(|(name, _)| names.contains(name)));
        if names.contains(HOST_LABEL) {
            labels.set(HOST_LABEL, self.instance.as_str());
        }
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_would_break_a_hash_tag_is_refused_by_name() {
        for bad in ["", "a{b", "a}b", "a/b", "a\nb", &"x".repeat(limits::NAMESPACE_BYTES_MAX + 1)] {
            let error = Namespace::new(bad).expect_err("must be refused");
            assert_eq!(error.given, bad);
        }
        assert_eq!(Namespace::new("prod:web").expect("a colon is fine").as_str(), "prod:web");
    }

    #[test]
    fn incarnations_print_as_sixteen_hex_digits() {
        assert_eq!(Incarnation(255).to_string(), "00000000000000ff");
        assert_eq!("00000000000000ff".parse(), Ok(Incarnation(255)));
    }
}
