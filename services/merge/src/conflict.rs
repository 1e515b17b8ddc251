//! What sources sent and a view does not show.

use std::{collections::BTreeMap, fmt};

use metrifold_model::Kind;

/// Samples that sources sent and that are not in the view.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Conflict {
    /// The family; of [`ConflictReason::Unreadable`] the part of the store.
    pub family: String,
    /// Why.
    pub reason: ConflictReason,
    /// How many samples were left out.
    pub samples: usize,
}

impl Conflict {
    /// What tells conflicts apart from scrape to scrape, while the number of samples changes. A view's conflicts are
    /// sorted by it, and each stands there once.
    pub fn cause(&self) -> (&str, &ConflictReason) {
        (&self.family, &self.reason)
    }
}

/// Why samples were left out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConflictReason {
    /// Another source has the family under another type or gauge mode, which is shown.
    Kind {
        /// What is shown.
        shown: Kind,
        /// What is left out.
        left_out: Kind,
    },
    /// The family has no name.
    Name(String),
    /// A label has no name, or `__name__`, which is the metric's own.
    LabelName(String),
    /// The sample's name does not belong to a family of this type.
    SampleName(String),
    /// Another family already shows a sample of this name.
    NameTaken(String),
    /// A bucket without a number in its label `le`, or a histogram's sum with that label.
    Bound(String),
    /// A sum, count or bucket that is NaN or infinite; of a source's value, only that source is left out.
    NotFinite(String),
    /// An exemplar whose labels or time no format can carry; the sample itself is shown.
    Exemplar(String),
    /// What stands in the family's place, a part of the store, cannot be read, and why.
    Unreadable(String),
    /// Live workers of several hosts have this pid, so that their series cannot be told apart; counted are such series.
    SharedPid(String),
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let ConflictReason::Unreadable(..) = self.reason {
            return write!(f, "{}: {}", self.family, self.reason);
        }
        write!(f, "family {:?}: {} ({} samples)", self.family, self.reason, self.samples)
    }
}

impl fmt::Display for ConflictReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConflictReason::Kind { shown, left_out } => write!(
                f,
                "it is a {} and a {}; only the former is shown: give one of them another name",
                shown.region_name(),
                left_out.region_name()
            ),
            ConflictReason::Name(name) => write!(f, "{name:?} is no name of a metric"),
            ConflictReason::LabelName(name) => {
                write!(f, "{name:?} is no name of a label")
            }
            ConflictReason::SampleName(name) => write!(f, "a sample {name:?} does not belong to its type"),
            ConflictReason::NameTaken(name) => {
                write!(f, "another family shows {name:?} already: give one of them another name")
            }
            ConflictReason::Bound(bound) => {
                write!(
                    f,
                    "the label le of a bucket must be a number, and no other sample may have it, but it is {bound:?}"
                )
            }
            ConflictReason::NotFinite(name) => {
                write!(f, "{name:?} is NaN or infinite, which cannot be added up")
            }
            ConflictReason::Exemplar(name) => write!(
                f,
                "an exemplar of {name:?} has a label name that is not [a-zA-Z_][a-zA-Z0-9_]*, more than {} characters, or \
                 no time (limit exemplar_characters_max)",
                metrifold_model::limits::EXEMPLAR_CHARACTERS_MAX
            ),
            ConflictReason::Unreadable(reason) => {
                write!(f, "it is left out, since it cannot be read: {reason}")
            }
            ConflictReason::SharedPid(pid) => write!(
                f,
                "live workers of several hosts have pid {pid:?}; only one is shown: set workers.host_label"
            ),
        }
    }
}

/// Conflicts under way, counted by their cause.
#[derive(Default)]
pub(crate) struct Conflicts(BTreeMap<(String, ConflictReason), usize>);

impl Conflicts {
    pub(crate) fn count(&mut self, family: &str, reason: ConflictReason, samples: usize) {
        *self.0.entry((family.to_owned(), reason)).or_default() += samples;
    }

    pub(crate) fn into_sorted(self) -> Vec<Conflict> {
        let conflict = |((family, reason), samples)| Conflict { family, reason, samples };
        self.0.into_iter().map(conflict).collect()
    }
}
