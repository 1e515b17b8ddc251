//! What must not fall from one view to the next.

use std::collections::HashMap;

use metrifold_merge::{Family, FamilyKind, Sample, View};
use metrifold_model::Labels;

type Series<'a> = (&'a str, &'a Labels);

/// The first series that the former view showed higher than this one does, and how many there are; `None` if nothing
/// fell. Compared is what only goes up: counters, buckets, counts, and sums of histograms and summaries. A series that
/// is missing now fell to 0.
pub(crate) fn below(former: &View, now: &View) -> Option<String> {
    let shown: HashMap<Series<'_>, f64> = rising(now).map(|sample| (series(&sample), sample.value)).collect();
    let value_now = |sample: &Sample<'_>| shown.get(&series(sample)).copied().unwrap_or(0.0);
    let mut fallen = rising(former).filter(|sample| value_now(sample) < sample.value);
    let first = fallen.next()?;
    let more = match fallen.count() {
        0 => String::new(),
        more => format!(" and {more} more series"),
    };
    Some(format!("{}{:?} ({} after {}){more}", first.name, labels(&first), value_now(&first), first.value))
}

fn rising(view: &View) -> impl Iterator<Item = Sample<'_>> {
    let rises = |family: &&Family| family.kind != FamilyKind::Gauge;
    view.families.iter().filter(rises).flat_map(Family::samples)
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
    fn gauges_may_fall() {
        let (former, now) = (view(FamilyKind::Gauge, &[("g", 2.0)]), view(FamilyKind::Gauge, &[("g", 1.0)]));
        assert_eq!(below(&former, &now), None);
    }
}
