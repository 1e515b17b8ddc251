//! What must not fall from one view to the next.

use std::collections::{HashMap, HashSet};

use metrifold_merge::{Family, FamilyKind, Sample, View};
use metrifold_model::Labels;

type Series<'a> = (&'a str, &'a Labels);

/// The first series that the former view showed higher than this one does, and how many there are; `None` if nothing
/// fell. Compared is what only goes up: counters, buckets, counts, and sums of histograms and summaries. A series that
/// is missing now fell to 0, unless it was removed: then it is there, but not shown.
pub(crate) fn below(former: &View, now: &View) -> Option<String> {
    let shown: HashMap<Series<'_>, f64> =
        rising(now).map(|(_, sample)| (series(&sample), sample.value)).collect();
    let removed: HashSet<Series<'_>> =
        now.removed.iter().map(|series| (series.name.as_str(), &series.labels)).collect();
    let value_now = |sample: &Sample<'_>| shown.get(&series(sample)).copied();
    let is_below = |(family, sample): &(&Family, Sample<'_>)| match value_now(sample) {
        Some(value) => value < sample.value,
        None => sample.value > 0.0 && !is_removed(&removed, family, sample.labels),
    };
    let mut fallen = rising(former).filter(is_below).map(|(_, sample)| sample);
    let first = fallen.next()?;
    let more = match fallen.count() {
        0 => String::new(),
        more => format!(" and {more} more series"),
    };
    let value = value_now(&first).unwrap_or(0.0);
    Some(format!("{}{:?} ({value} after {}){more}", first.name, labels(&first), first.value))
}

fn is_removed(removed: &HashSet<Series<'_>>, family: &Family, labels: &Labels) -> bool {
    if removed.is_empty() {
        return false;
    }
    let mut label_set = labels.clone();
    label_set.remove("le");
    removed.contains(&(family.name.as_str(), &label_set))
}

fn rising(view: &View) -> impl Iterator<Item = (&Family, Sample<'_>)> {
    let rises = |family: &&Family| {
        matches!(family.kind, FamilyKind::Counter | FamilyKind::Histogram | FamilyKind::Summary)
    };
    let families = view.families.iter().filter(rises);
    families.flat_map(|family| family.samples().map(move |sample| (family, sample)))
}

fn series<'a>(sample: &Sample<'a>) -> Series<'a> {
    (sample.name, sample.labels)
}

fn labels<'a>(sample: &Sample<'a>) -> Vec<(&'a str, &'a str)> {
    sample.labels.iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(kind: FamilyKind, samples: &[(&str, f64)]) -> View {
        let line = |name: &str| metrifold_merge::Series { name: name.to_owned(), labels: Labels::default() };
        let samples = samples.iter().map(|(name, value)| (line(name), *value));
        View { families: vec![Family::new("f", "", kind, samples)], ..View::default() }
    }

    #[test]
    fn nothing_fell_if_all_are_as_high_or_new() {
        let former = view(FamilyKind::Counter, &[("a_total", 2.0), ("b_total", 0.0)]);
        let now = view(FamilyKind::Counter, &[("a_total", 2.0), ("c_total", 1.0)]);
        assert_eq!(below(&former, &now), None);
    }

    #[test]
    fn a_fall_by_one_unit_in_the_last_place_and_a_missing_series_are_named() {
        let former = view(FamilyKind::Histogram, &[("a_sum", 0.3), ("a_count", 4.0)]);
        let now = view(FamilyKind::Histogram, &[("a_sum", 0.3_f64.next_down())]);
        let fallen = below(&former, &now).expect("both fell");
        assert!(fallen.starts_with("a_sum") && fallen.ends_with("and 1 more series"), "{fallen}");
    }

    #[test]
    fn a_series_that_was_removed_did_not_fall() {
        let line = |name: &str, labels: &[(&str, &str)]| metrifold_merge::Series {
            name: name.to_owned(),
            labels: Labels::new(labels.iter().copied()),
        };
        let bucket = line("f_bucket", &[("le", "+Inf"), ("path", "/a")]);
        let family = Family::new("f", "", FamilyKind::Histogram, [(bucket, 2.0)]);
        let former = View { families: vec![family], ..View::default() };
        assert!(below(&former, &View::default()).is_some());
        let removed = |path| View { removed: vec![line("f", &[("path", path)])], ..View::default() };
        assert_eq!(below(&former, &removed("/a")), None);
        assert!(below(&former, &removed("/b")).is_some());
    }

    #[test]
    fn gauges_may_fall() {
        let (former, now) = (view(FamilyKind::Gauge, &[("g", 2.0)]), view(FamilyKind::Gauge, &[("g", 1.0)]));
        assert_eq!(below(&former, &now), None);
    }
}
