//! A set of label names.

use std::{collections::BTreeSet, sync::Arc};

use crate::Labels;

/// Names of labels, in order; cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LabelNames(Arc<BTreeSet<String>>);

impl LabelNames {
    /// Whether any of these names is among `labels`.
    pub fn any_of(&self, labels: &Labels) -> bool {
        !self.0.is_empty() && labels.iter().any(|(name, _)| self.0.contains(name))
    }

    /// Whether `name` is among these names.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// Whether all of these names are among `others`.
    pub fn is_subset(&self, others: &LabelNames) -> bool {
        self.0.is_subset(&others.0)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl<S: Into<String>> FromIterator<S> for LabelNames {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        LabelNames(Arc::new(names.into_iter().map(Into::into).collect()))
    }
}
