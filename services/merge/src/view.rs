//! What a merge yields: families of columns.

use std::sync::Arc;

use metrifold_model::{Exemplar, Kind, Labels};

use crate::Conflict;

/// All metrics of a namespace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// Families, sorted by name, each with at least one sample.
    pub families: Vec<Family>,
    /// What was left out, sorted by [`Conflict::cause`].
    pub conflicts: Vec<Conflict>,
    /// Sums that exist but are not shown, because they were removed and nobody alive shows them: family, and labels
    /// without `le`; sorted.
    pub removed: Vec<Series>,
    /// Whose values these are.
    pub sources: Sources,
}

/// How many sources a view contains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// Sources that have pushed within their time to live and did not say that they ended.
    pub live: usize,
    /// Sources that ended or fell silent and are not folded yet.
    pub dead: usize,
    /// Sources in the archive that still have a tombstone.
    pub folded: usize,
}

/// One metric family: a column of series and a column of their values.
#[derive(Clone, Debug)]
pub struct Family {
    /// The name, without `_total` of a counter.
    pub name: String,
    /// The help text, unescaped.
    pub help: Arc<str>,
    /// The type.
    pub kind: FamilyKind,
    /// The series, each once: sorted by name and labels; of a summary by labels and name; of a histogram, per label
    /// set, the cumulative buckets by bound with `+Inf` last, `_sum`, `_count`. A [`Merger`](crate::Merger) shares this
    /// column between its views while no series of the family comes or goes, so that whoever caches text by it can
    /// compare with [`Arc::ptr_eq`].
    pub series: Arc<[Series]>,
    /// One value per series.
    pub values: Vec<f64>,
    /// The unit, a suffix of the name; empty if there is none.
    pub unit: Arc<str>,
    /// When each series began to count, Unix seconds, 0.0 where that is not known; empty if it is known of none. All
    /// samples of one histogram or summary have the same.
    pub created: Vec<f64>,
    /// The newest exemplars, by index into [`Family::series`], ascending: of counters and buckets, at most one each.
    pub exemplars: Vec<(usize, Arc<Exemplar>)>,
}

/// What stands before the value on a line of a scrape.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Series {
    /// The sample's name.
    pub name: String,
    /// The labels, `le` included.
    pub labels: Labels,
}

/// One line of a scrape.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// The sample's name.
    pub name: &'a str,
    /// The labels, `le` included.
    pub labels: &'a Labels,
    /// The merged value.
    pub value: f64,
}

impl Family {
    /// A family of these samples, in this order, without unit, times of creation and exemplars.
    pub fn new(
        name: impl Into<String>,
        help: impl Into<Arc<str>>,
        kind: FamilyKind,
        samples: impl IntoIterator<Item = (Series, f64)>,
    ) -> Family {
        let (series, values): (Vec<_>, Vec<_>) = samples.into_iter().unzip();
        Family {
            name: name.into(),
            help: help.into(),
            kind,
            series: series.into(),
            values,
            unit: "".into(),
            created: Vec::new(),
            exemplars: Vec::new(),
        }
    }

    /// The samples in order.
    pub fn samples(&self) -> impl Iterator<Item = Sample<'_>> {
        let rows = self.series.iter().zip(&self.values);
        rows.map(|(series, value)| Sample { name: &series.name, labels: &series.labels, value: *value })
    }
}

// Values by their bits, so that equal views give equal scrapes.
impl PartialEq for Family {
    fn eq(&self, other: &Self) -> bool {
        let bits = |column: &[f64]| column.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        let text =
            |family: &Family| (family.name.clone(), family.help.clone(), family.unit.clone(), family.kind);
        text(self) == text(other)
            && self.series == other.series
            && bits(&self.values) == bits(&other.values)
            && bits(&self.created) == bits(&other.created)
            && self.exemplars == other.exemplars
    }
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
    /// Facts as labels; the value of its one sample per label set, `x_info`, is 1.
    Info,
    /// One sample per state, with the state under a label of the family's name; 1 for those that hold, else 0.
    StateSet,
}

impl From<Kind> for FamilyKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Counter => FamilyKind::Counter,
            Kind::Histogram => FamilyKind::Histogram,
            Kind::Summary => FamilyKind::Summary,
            Kind::Gauge(_) => FamilyKind::Gauge,
            Kind::Info => FamilyKind::Info,
            Kind::StateSet => FamilyKind::StateSet,
        }
    }
}

impl FamilyKind {
    /// The word after `# TYPE name` in OpenMetrics.
    pub fn name(self) -> &'static str {
        match self {
            FamilyKind::Counter => "counter",
            FamilyKind::Gauge => "gauge",
            FamilyKind::Histogram => "histogram",
            FamilyKind::Summary => "summary",
            FamilyKind::Info => "info",
            FamilyKind::StateSet => "stateset",
        }
    }
}
