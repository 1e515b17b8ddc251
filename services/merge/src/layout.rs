//! How a family's merged series become its samples; remembered while no series of the family comes or goes.

use std::{collections::BTreeMap, sync::Arc};

use metrifold_model::{DoubleDouble, Exemplar, GaugeMode, Kind, Labels, format_float};

use crate::{
    ConflictReason, Series,
    combine::Merged,
    names,
    table::{FamilyIndex, GroupIndex, SeriesIndex, Table},
};

/// One step on the way from the merged column to a family's values.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Show a series' own value.
    Value(SeriesIndex),
    /// Show whether a series' value is above 0.
    Flag(SeriesIndex),
    /// Add a series to the running count of a histogram.
    Add(SeriesIndex),
    /// Show the running count.
    Bucket,
    /// Show the running count, and begin again.
    Count,
}

/// A family's lines, and what of it cannot be shown.
pub(crate) struct Layout {
    /// The series with values that this layout was made for.
    members: Vec<SeriesIndex>,
    /// Their kinds, and whether living sources have the family under it.
    kinds: Vec<(Kind, bool)>,
    /// What is shown; `None` if nothing can be.
    pub(crate) shown: Option<Shown>,
    /// What is left out, with the number of samples.
    pub(crate) left_out: Vec<(ConflictReason, usize)>,
}

/// The lines of a family.
pub(crate) struct Shown {
    pub(crate) kind: Kind,
    pub(crate) series: Arc<[Series]>,
    /// Names that no other family may have.
    pub(crate) exposed: Vec<String>,
    steps: Vec<Step>,
    /// The group of each of `series`.
    groups: Vec<GroupIndex>,
}

/// The place of a kind among kinds that claim one family: the lowest is shown, of those that living sources have, if there are
/// any. What the dead had under another kind (before a deployment, mostly) is kept and not shown.
///
/// Kinds that outlive their workers come first. Once such a kind has a value it always has, in a record, a tombstone or
/// the archive, so that no fold and no trim changes what is shown; "who came first" would, because a record's beginning
/// is forgotten when it is folded.
pub(crate) fn rank(kind: Kind) -> (bool, u8) {
    let vanishes = kind.is_live() || kind == Kind::Gauge(GaugeMode::All);
    (vanishes, kind.code())
}

impl Layout {
    /// Whether this layout fits a family with values in exactly these series.
    pub(crate) fn fits(&self, table: &Table, family: FamilyIndex, members: &[SeriesIndex]) -> bool {
        let mut kinds = self.kinds.iter();
        self.members == members
            && (self.kinds.len() < 2
                || kinds.all(|(kind, is_living)| table.is_living(family, *kind) == *is_living))
    }

    /// Lays out the family of these series, which are sorted by key.
    pub(crate) fn new(table: &Table, family: FamilyIndex, members: &[SeriesIndex]) -> Layout {
        let mut left_out: BTreeMap<ConflictReason, usize> = BTreeMap::new();
        let is_living = |kind| table.is_living(family, kind);
        let mut by_kind: BTreeMap<(bool, (bool, u8)), Vec<SeriesIndex>> = BTreeMap::new();
        for member in members {
            let kind = table.kind(*member);
            match &table.series[*member].refusal {
                Some(reason) => *left_out.entry(reason.clone()).or_default() += 1,
                None => by_kind.entry((!is_living(kind), rank(kind))).or_default().push(*member),
            }
        }
        let kinds = by_kind.values().map(|series| table.kind(series[0]));
        let kinds: Vec<_> = kinds.map(|kind| (kind, is_living(kind))).collect();
        let mut groups = by_kind.into_values();
        let shown = groups.next().map(|series| Shown::new(table, &series));
        for (series, (kind, is_living)) in groups.zip(kinds.iter().skip(1)) {
            // What only the dead had, beside what the living have, is no conflict that anybody could mend.
            if let Some(shown) = shown.as_ref().filter(|_| *is_living || !kinds[0].1) {
                let reason = ConflictReason::Kind { shown: shown.kind, left_out: *kind };
                *left_out.entry(reason).or_default() += series.len();
            }
        }
        Layout { members: members.to_vec(), kinds, shown, left_out: left_out.into_iter().collect() }
    }
}

impl Shown {
    /// Lays out series of one kind; there is at least one.
    fn new(table: &Table, members: &[SeriesIndex]) -> Shown {
        let (kind, family) = (table.kind(members[0]), &table.series[members[0]].key.family);
        let mut lines = Lines::default();
        match kind {
            Kind::Histogram => histogram(table, family, members, &mut lines),
            Kind::Summary => summary(table, members, &mut lines),
            Kind::Info | Kind::StateSet => members.iter().for_each(|member| lines.flag(table, *member)),
            Kind::Counter | Kind::Gauge(_) => members.iter().for_each(|member| lines.value(table, *member)),
        }
        let exposed = names::exposed(family, kind.into());
        Shown { kind, series: lines.series.into(), exposed, steps: lines.steps, groups: lines.groups }
    }

    /// The values of [`Shown::series`].
    pub(crate) fn values(&self, column: &[Option<Merged>]) -> Vec<f64> {
        let mut count = DoubleDouble::ZERO;
        let mut values = Vec::with_capacity(self.series.len());
        for step in &self.steps {
            match *step {
                Step::Value(series) => values.push(column[series].map_or(0.0, Merged::value)),
                Step::Flag(series) => {
                    let holds = column[series].is_some_and(|merged| merged.value() > 0.0);
                    values.push(f64::from(u8::from(holds)));
                }
                Step::Add(series) => count += column[series].map_or(DoubleDouble::ZERO, Merged::sum),
                Step::Bucket => values.push(Merged::Sum(count).value()),
                Step::Count => {
                    values.push(Merged::Sum(count).value());
                    count = DoubleDouble::ZERO;
                }
            }
        }
        values
    }

    /// When each of [`Shown::series`] began to count, Unix seconds; empty if that is known of none or means nothing.
    pub(crate) fn created(&self, table: &Table) -> Vec<f64> {
        let counts = matches!(self.kind, Kind::Counter | Kind::Histogram | Kind::Summary);
        if !counts || self.groups.iter().all(|group| table.created[*group] == 0) {
            return Vec::new();
        }
        self.groups.iter().map(|group| table.created[*group] as f64 / 1_000.0).collect()
    }

    /// The exemplars of [`Shown::series`], by place. Two texts may name one bound; of their exemplars the newer is shown.
    pub(crate) fn exemplars(&self, table: &Table) -> Vec<(usize, Arc<Exemplar>)> {
        if table.exemplars.is_empty() {
            return Vec::new();
        }
        let (mut exemplars, mut place) = (Vec::new(), 0);
        let mut of_bucket: Option<&Arc<Exemplar>> = None;
        for step in &self.steps {
            let of_line = match step {
                Step::Add(series) => {
                    let other = table.exemplars.get(series);
                    of_bucket = match (of_bucket, other) {
                        (Some(one), Some(two)) if std::ptr::eq(one.newer(two), two.as_ref()) => Some(two),
                        (one, two) => one.or(two),
                    };
                    continue;
                }
                Step::Value(series) | Step::Flag(series) => table.exemplars.get(series),
                Step::Bucket => of_bucket.take(),
                Step::Count => None,
            };
            exemplars.extend(of_line.map(|exemplar| (place, exemplar.clone())));
            place += 1;
        }
        exemplars
    }
}

/// Series and the steps to their values, under way.
#[derive(Default)]
struct Lines {
    series: Vec<Series>,
    steps: Vec<Step>,
    groups: Vec<GroupIndex>,
}

impl Lines {
    fn line(&mut self, name: String, labels: Labels, group: GroupIndex, step: Step) {
        self.series.push(Series { name, labels });
        self.groups.push(group);
        self.steps.push(step);
    }

    fn value(&mut self, table: &Table, member: SeriesIndex) {
        self.member(table, member, Step::Value(member));
    }

    fn flag(&mut self, table: &Table, member: SeriesIndex) {
        self.member(table, member, Step::Flag(member));
    }

    fn member(&mut self, table: &Table, member: SeriesIndex, step: Step) {
        let series = &table.series[member];
        self.line(series.key.sample.clone(), series.key.labels.clone(), series.group, step);
    }
}

/// Samples of one label set stand together.
fn summary(table: &Table, members: &[SeriesIndex], lines: &mut Lines) {
    let mut members = members.to_vec();
    members.sort_by_key(|member| (&table.series[*member].key.labels, &table.series[*member].key.sample));
    members.into_iter().for_each(|member| lines.value(table, member));
}

/// One label set of a histogram.
#[derive(Default)]
struct Buckets {
    /// The series of each bound. Two texts may name one bound.
    by_bound: BTreeMap<OrderedBound, Vec<SeriesIndex>>,
    sum: Option<SeriesIndex>,
}

/// Buckets are added bound by bound over the union of all bounds and then made cumulative, so that unequal bounds merge
/// without ever falling; the count is the last bucket's.
fn histogram(table: &Table, family: &str, members: &[SeriesIndex], lines: &mut Lines) {
    let mut by_labels: BTreeMap<Labels, Buckets> = BTreeMap::new();
    for member in members {
        let key = &table.series[*member].key;
        let mut labels = key.labels.clone();
        match names::bound_of(&labels) {
            Some(bound) => {
                labels.remove("le");
                let buckets = by_labels.entry(labels).or_default();
                buckets.by_bound.entry(OrderedBound(bound)).or_default().push(*member);
            }
            None => by_labels.entry(labels).or_default().sum = Some(*member),
        }
    }
    for (labels, buckets) in by_labels {
        let member = buckets.sum.or_else(|| buckets.by_bound.values().flatten().next().copied());
        let group = member.map_or(0, |member| table.series[member].group);
        label_set(family, labels, buckets, group, lines);
    }
}

fn label_set(family: &str, labels: Labels, mut buckets: Buckets, group: GroupIndex, lines: &mut Lines) {
    // The format requires the last bucket, whatever the source sent.
    buckets.by_bound.entry(OrderedBound(f64::INFINITY)).or_default();
    for (bound, members) in buckets.by_bound {
        lines.steps.extend(members.into_iter().map(Step::Add));
        let mut labels = labels.clone();
        labels.set("le", format_float(bound.0));
        lines.line(format!("{family}_bucket"), labels, group, Step::Bucket);
    }
    if let Some(sum) = buckets.sum {
        lines.line(format!("{family}_sum"), labels.clone(), group, Step::Value(sum));
    }
    lines.line(format!("{family}_count"), labels, group, Step::Count);
}

/// A bound in numeric order; it is neither NaN nor −0.
#[derive(Clone, Copy)]
struct OrderedBound(f64);

impl Ord for OrderedBound {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for OrderedBound {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for OrderedBound {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for OrderedBound {}
