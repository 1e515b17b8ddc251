//! What a merge yields.

use std::{fmt, time::Duration};

use metrifold_model::{Kind, Labels};

/// What a merge is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeOptions {
    /// Time after the last push at which a source counts as dead; `None`: only explicit ends count. Default 300 s.
    pub ttl: Option<Duration>,
    /// How long a folded worker's own gauge series (mode `all`) are shown. Default 300 s.
    pub gauge_retention: Duration,
    /// Whether per-worker series carry the label `host` besides `pid`. Default false.
    pub host_label: bool,
}

impl Default for MergeOptions {
    fn default() -> Self {
        let retention = Duration::from_secs(300);
        MergeOptions { ttl: Some(retention), gauge_retention: retention, host_label: false }
    }
}

/// All metrics of a namespace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// Families, sorted by name.
    pub families: Vec<Family>,
    /// What was left out, sorted, each once.
    pub conflicts: Vec<Conflict>,
}

/// One metric family.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// The name, without `_total` of a counter.
    pub name: String,
    /// The help text, unescaped.
    pub help: String,
    /// The type.
    pub kind: FamilyKind,
    /// The samples, sorted by labels; of a histogram, per label set, the cumulative buckets in order, `_sum`, `_count`.
    pub samples: Vec<Sample>,
}

/// A family's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FamilyKind {
    /// Only goes up.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Cumulative buckets, sum and count.
    Histogram,
    /// Sum and count.
    Summary,
}

impl From<Kind> for FamilyKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Counter => FamilyKind::Counter,
            Kind::Histogram => FamilyKind::Histogram,
            Kind::Summary => FamilyKind::Summary,
            Kind::Gauge(_) => FamilyKind::Gauge,
        }
    }
}

impl FamilyKind {
    /// The word after `# TYPE name`.
    pub fn name(self) -> &'static str {
        match self {
            FamilyKind::Counter => "counter",
            FamilyKind::Gauge => "gauge",
            FamilyKind::Histogram => "histogram",
            FamilyKind::Summary => "summary",
        }
    }
}

/// One line of a scrape.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The name on the line.
    pub name: String,
    /// The labels, `le` included.
    pub labels: Labels,
    /// The merged value.
    pub value: f64,
}

// By bits, so that equal views give equal scrapes.
impl PartialEq for Sample {
    fn eq(&self, other: &Self) -> bool {
        let same_value = self.value.to_bits() == other.value.to_bits();
        same_value && self.name == other.name && self.labels == other.labels
    }
}

/// Something that sources sent and that is not in the view.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Conflict {
    /// The family.
    pub family: String,
    /// Why.
    pub reason: ConflictReason,
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
    /// The family's or a sample's name is not `[a-zA-Z_:][a-zA-Z0-9_:]*`.
    Name(String),
    /// A label's name is not `[a-zA-Z_][a-zA-Z0-9_]*`.
    LabelName(String),
    /// The sample's name does not belong to a family of this type.
    SampleName(String),
    /// Another family already shows a sample of this name.
    NameTaken(String),
    /// A bucket without a number in its label `le`.
    Bound(String),
    /// A sum, count or bucket that is NaN or infinite.
    NotFinite(String),
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = &self.family;
        match &self.reason {
            ConflictReason::Kind { shown, left_out } => write!(
                f,
                "family {family:?} is a {} and a {}; only the former is shown: give one of them another name",
                shown.region_name(),
                left_out.region_name()
            ),
            ConflictReason::Name(name) => {
                write!(f, "family {family:?}: the name {name:?} is not [a-zA-Z_:][a-zA-Z0-9_:]*")
            }
            ConflictReason::LabelName(name) => {
                write!(f, "family {family:?}: the label name {name:?} is not [a-zA-Z_][a-zA-Z0-9_]*")
            }
            ConflictReason::SampleName(name) => {
                write!(f, "family {family:?}: a sample {name:?} does not belong to its type")
            }
            ConflictReason::NameTaken(name) => {
                write!(f, "family {family:?}: another family shows {name:?} already")
            }
            ConflictReason::Bound(bound) => {
                write!(f, "family {family:?}: a bucket's label le is {bound:?}, which is no number")
            }
            ConflictReason::NotFinite(name) => write!(f, "family {family:?}: {name:?} is NaN or infinite"),
        }
    }
}
