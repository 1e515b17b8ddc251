//! Whatever view is printed reads back as that view, in every format; and no scheme for names breaks a page.

#[path = "reading/mod.rs"]
mod reading;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use metrifold_exposition::{Encoder, Escaping, Format, Variant, encode};
use metrifold_merge::{Family, FamilyKind, Series, View};
use metrifold_model::{Exemplar, Labels, format_float};
use proptest::{
    collection::{btree_map, btree_set, vec},
    prelude::*,
    sample::select,
};
use reading::{Row, number, read_protobuf, read_text};

/// What one label set of a family contains, whatever its kind makes of it.
#[derive(Clone, Debug)]
struct Content {
    values: Vec<f64>,
    created: u32,
    exemplars: Vec<Option<(Labels, f64, u32)>>,
}

const BOUNDS: [f64; 5] = [-2.5, 1e-5, 0.25, 1.0, 1e6];
const QUANTILES: [f64; 2] = [0.5, 0.99];

fn labels(name: BoxedStrategy<String>) -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map(name, any::<String>(), 0..3).prop_map(|mut labels| {
        for reserved in ["", "le", "quantile", "__name__"] {
            labels.remove(reserved);
        }
        labels
    })
}

fn content() -> impl Strategy<Value = Content> {
    // Short enough for OpenMetrics 1.0 however it is escaped.
    let labels = btree_map(select(vec!["trace_id", "a.b", "a_b"]), any::<String>(), 0..3);
    let exemplar = (labels, any::<f64>(), 0u32..3);
    let exemplar = exemplar.prop_map(|(labels, value, time)| (Labels::new(labels), value, time));
    let exemplars = vec(proptest::option::of(exemplar), 6);
    (vec(any::<f64>(), 8), 0u32..3, exemplars).prop_map(|(values, created, exemplars)| Content {
        values,
        created,
        exemplars,
    })
}

const KINDS: [FamilyKind; 6] = [
    FamilyKind::Counter,
    FamilyKind::Gauge,
    FamilyKind::Histogram,
    FamilyKind::Summary,
    FamilyKind::Info,
    FamilyKind::StateSet,
];

fn family(name: String, label: BoxedStrategy<String>) -> impl Strategy<Value = Family> {
    let sets = btree_map(labels(label), content(), 1..4);
    (select(KINDS.to_vec()), any::<String>(), any::<bool>(), any::<bool>(), sets).prop_map(
        move |(kind, help, has_unit, is_bare, sets)| build(&name, kind, &help, has_unit, is_bare, sets),
    )
}

fn build(
    name: &str,
    kind: FamilyKind,
    help: &str,
    has_unit: bool,
    is_bare: bool,
    sets: BTreeMap<BTreeMap<String, String>, Content>,
) -> Family {
    let has_unit = has_unit && !matches!(kind, FamilyKind::Info | FamilyKind::StateSet);
    let name = if has_unit { format!("{name}_seconds") } else { name.to_owned() };
    let mut family = Family::new(name.as_str(), help, kind, []);
    let (mut series, mut values, mut created) = (Vec::new(), Vec::new(), Vec::new());
    for (labels, content) in sets {
        let mut labels = Labels::new(labels);
        labels.remove(&name);
        if series.iter().any(|other: &Series| (other.labels == labels) && kind != FamilyKind::StateSet) {
            continue;
        }
        let first = series.len();
        let mut add = |suffix: &str, extra: Option<(&str, String)>, value: f64| {
            let mut labels = labels.clone();
            extra.into_iter().for_each(|(name, value)| labels.set(name, value));
            series.push(Series { name: format!("{name}{suffix}"), labels });
            values.push(value);
        };
        match kind {
            FamilyKind::Counter => add("_total", None, content.values[0]),
            FamilyKind::Gauge => add("", None, content.values[0]),
            FamilyKind::Info => add("_info", None, 1.0),
            FamilyKind::StateSet => {
                for (state, value) in [("on", 1.0), ("off", 0.0)] {
                    add("", Some((&name, state.into())), value);
                }
            }
            FamilyKind::Histogram => {
                // Not every histogram has negative bounds.
                let bounds = &BOUNDS[usize::from(content.created == 1)..];
                for (bound, value) in bounds.iter().zip(&content.values) {
                    add("_bucket", Some(("le", format_float(*bound))), value.abs());
                }
                add("_bucket", Some(("le", "+Inf".into())), content.values[5].abs());
                add("_sum", None, content.values[6]);
                add("_count", None, content.values[5].abs());
            }
            FamilyKind::Summary => {
                add("_count", None, 7.0);
                add("_sum", None, content.values[6]);
                for (quantile, value) in QUANTILES.iter().zip(&content.values) {
                    add("", Some(("quantile", format_float(*quantile))), *value);
                }
            }
        }
        created.resize(series.len(), f64::from(content.created) * 1e9 + f64::from(content.created) / 4.0);
        for (row, exemplar) in (first..series.len()).zip(&content.exemplars) {
            let is_allowed = kind == FamilyKind::Counter || series[row].name.ends_with("_bucket");
            let Some((labels, value, time)) = exemplar.as_ref().filter(|_| is_allowed) else { continue };
            // An exemplar lies in its bucket.
            let bound = series[row].labels.get("le").filter(|_| kind == FamilyKind::Histogram);
            let value = bound.map_or(*value, |bound| bound.parse::<f64>().expect("a number").min(1e300));
            let timestamp = f64::from(*time) * 1e9;
            family.exemplars.push((row, Arc::new(Exemplar { labels: labels.clone(), value, timestamp })));
        }
    }
    if kind == FamilyKind::StateSet {
        // All with the same labels stand once.
        let mut seen = BTreeSet::new();
        let keep: Vec<bool> = series.iter().map(|series| seen.insert(series.clone())).collect();
        let kept = |rows: Vec<f64>| {
            rows.into_iter().zip(&keep).filter(|(_, keep)| **keep).map(|(row, _)| row).collect()
        };
        (values, created) = (kept(values), kept(created));
        series = series.into_iter().zip(&keep).filter(|(_, keep)| **keep).map(|(row, _)| row).collect();
    }
    if has_unit {
        family.unit = "seconds".into();
    }
    if is_bare {
        (created, family.exemplars) = (Vec::new(), Vec::new());
    }
    Family { series: series.into(), values, created, ..family }
}

/// A view with names of every kind.
fn views() -> impl Strategy<Value = View> {
    let known = |names: &[&'static str]| select(names.to_vec()).prop_map(String::from);
    let metric = prop_oneof![known(&["a.b", "a_b", "a-b", "U__a_2e_b"]), "\\PC{1,6}", any::<String>()];
    let label = prop_oneof![known(&["a", "a.b", "a_b", "a:b", "_"]), any::<String>()];
    views_with(metric.boxed(), label.boxed())
}

/// A view whose names every reader ever knew.
fn legacy_views() -> impl Strategy<Value = View> {
    views_with("[a-zA-Z_:][a-zA-Z0-9_:]{0,5}".boxed(), "[a-zA-Z_][a-zA-Z0-9_]{0,5}".boxed())
}

/// Families whose names differ by more than a suffix, as the merge sees to.
fn views_with(metric: BoxedStrategy<String>, label: BoxedStrategy<String>) -> impl Strategy<Value = View> {
    let names = btree_set(metric, 0..4).prop_map(|names| {
        let is_good =
            |name: &String| !name.is_empty() && !name.contains("_total") && !name.contains("_created");
        names.into_iter().filter(is_good).collect::<Vec<_>>()
    });
    let families =
        move |names: Vec<_>| names.into_iter().map(|name| family(name, label.clone())).collect::<Vec<_>>();
    names.prop_flat_map(families).prop_map(|families| {
        let mut families = families;
        families.sort_by(|one, two| one.name.cmp(&two.name));
        View { families, ..View::default() }
    })
}

fn pairs(labels: &Labels) -> Vec<(String, String)> {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The view as rows, less what a format has no place for.
fn expected(view: &View, format: Format) -> Vec<Row> {
    let mut rows = Vec::new();
    for family in &view.families {
        let is_plain = matches!(format, Format::Text | Format::Text1);
        let is_gauge = is_plain || format == Format::Protobuf;
        let kind = match family.kind {
            FamilyKind::Info | FamilyKind::StateSet if is_gauge => "gauge",
            kind => kind.name(),
        };
        let rises = matches!(family.kind, FamilyKind::Counter | FamilyKind::Histogram | FamilyKind::Summary);
        for (row, sample) in family.samples().enumerate() {
            let exemplar = family.exemplars.iter().find(|(at, _)| *at == row).map(|(_, exemplar)| exemplar);
            let exemplar = exemplar.filter(|exemplar| match format {
                Format::Text | Format::Text1 => false,
                Format::OpenMetrics2 => exemplar.timestamp != 0.0,
                Format::OpenMetrics1 | Format::Protobuf => true,
            });
            let created = family.created.get(row).filter(|created| **created != 0.0 && rises && !is_plain);
            let time = |time: f64| (time != 0.0).then(|| number(time));
            rows.push(Row {
                sample: sample.name.into(),
                labels: pairs(sample.labels),
                value: number(sample.value),
                kind: kind.into(),
                help: family.help.to_string(),
                unit: if is_plain { String::new() } else { family.unit.to_string() },
                created: created.map(|created| number(*created)),
                exemplar: exemplar.map(|exemplar| {
                    (pairs(&exemplar.labels), number(exemplar.value), time(exemplar.timestamp))
                }),
            });
        }
    }
    if format == Format::OpenMetrics1 {
        leave_out_sums_of_negatives(&mut rows);
    }
    rows.sort();
    rows
}

/// This format shows neither sum nor count beside negative bounds.
fn leave_out_sums_of_negatives(rows: &mut Vec<Row>) {
    let without_le =
        |row: &Row| -> Vec<_> { row.labels.iter().filter(|(name, _)| name != "le").cloned().collect() };
    let negative = number(BOUNDS[0]);
    let has_negative = |row: &&Row| row.labels.contains(&("le".into(), negative.clone()));
    let signed: BTreeSet<_> = rows
        .iter()
        .filter(has_negative)
        .map(|row| (row.sample.trim_end_matches("_bucket").to_owned(), without_le(row)))
        .collect();
    rows.retain(|row| {
        let stem = row.sample.strip_suffix("_sum").or(row.sample.strip_suffix("_count"));
        row.kind != "histogram"
            || stem.is_none_or(|stem| !signed.contains(&(stem.to_owned(), row.labels.clone())))
    });
}

fn read(page: &[u8], format: Format) -> Vec<Row> {
    let mut rows = match format {
        Format::Protobuf => read_protobuf(page),
        _ => read_text(std::str::from_utf8(page).expect("UTF-8")),
    };
    rows.sort();
    rows
}

/// What [`Escaping::Values`] puts before a name that it changes.
const CODE: &str = "U__";

/// The name that [`Escaping::Values`] shows as `shown`.
fn undone(shown: &str) -> String {
    let Some(mut rest) = shown.strip_prefix(CODE) else { return shown.to_owned() };
    let mut name = String::new();
    while let Some((plain, after)) = rest.split_once('_') {
        let (code, after) = after.split_once('_').expect("a second underscore");
        name.push_str(plain);
        name.push(match code {
            "" => '_',
            code => u32::from_str_radix(code, 16).ok().and_then(char::from_u32).expect("a character"),
        });
        rest = after;
    }
    name + rest
}

/// The row with the names that it had before [`Escaping::Values`]. A histogram's and summary's suffix is not escaped.
fn undo(row: Row) -> Row {
    let is_composite = row.kind == "histogram" || row.kind == "summary";
    let suffix =
        ["_bucket", "_sum", "_count"].into_iter().find(|suffix| is_composite && row.sample.ends_with(suffix));
    let suffix = suffix.filter(|_| row.labels.iter().all(|(name, _)| name != "quantile")).unwrap_or_default();
    let sample = undone(row.sample.strip_suffix(suffix).expect("just seen")) + suffix;
    let mut labels: Vec<_> = row.labels.iter().map(|(name, value)| (undone(name), value.clone())).collect();
    labels.sort();
    Row { sample, labels, ..row }
}

fn page(view: &View, variant: Variant) -> Vec<u8> {
    let mut page = Vec::new();
    encode(view, variant, &mut page);
    page
}

proptest! {
    #[test]
    fn whatever_is_printed_reads_back(view in views()) {
        for format in [Format::Text1, Format::OpenMetrics1, Format::OpenMetrics2, Format::Protobuf] {
            let page = page(&view, Variant::new(format, Escaping::AllowUtf8));
            let (mut read, mut wanted) = (read(&page, format), expected(&view, format));
            if format == Format::OpenMetrics1 {
                // There the labels of exemplars have no quotes, and foreign ones are shown by their codes.
                let names = |row: &mut Row| row.exemplar.iter_mut().for_each(|(labels, ..)| labels.iter_mut().for_each(|(name, _)| {
                    if name == "U__a_2e_b" {
                        *name = "a.b".into();
                    }
                }));
                read.iter_mut().for_each(names);
                wanted.iter_mut().for_each(|row| row.exemplar.iter_mut().for_each(|(labels, ..)| labels.sort()));
                read.iter_mut().for_each(|row| row.exemplar.iter_mut().for_each(|(labels, ..)| labels.sort()));
            }
            prop_assert_eq!(read, wanted, "{:?}\n{}", format, String::from_utf8_lossy(&page));
        }
    }

    #[test]
    fn what_the_oldest_format_prints_of_names_that_it_knows_reads_back(view in legacy_views()) {
        // The label of a state is called as its family, and labels have no colons.
        let mut view = view;
        view.families.retain(|family| family.kind != FamilyKind::StateSet || !family.name.contains(':'));
        for escaping in [Escaping::AllowUtf8, Escaping::Underscores, Escaping::Values] {
            let page = page(&view, Variant::new(Format::Text, escaping));
            let (read, wanted) = (read(&page, Format::Text), expected(&view, Format::Text));
            prop_assert_eq!(read, wanted, "{:?}\n{}", escaping, String::from_utf8_lossy(&page));
        }
    }

    #[test]
    fn what_the_oldest_format_prints_of_any_names_reads_back_once_their_codes_are_undone(view in views()) {
        // One that is called as a code is another's name undone.
        let mut view = view;
        view.families.retain(|family| !family.name.starts_with(CODE));
        let page = page(&view, Variant::new(Format::Text, Escaping::Values));
        let mut undone: Vec<_> = read(&page, Format::Text).into_iter().map(undo).collect();
        undone.sort();
        prop_assert_eq!(undone, expected(&view, Format::Text), "{}", String::from_utf8_lossy(&page));
    }

    #[test]
    fn every_scheme_shows_every_series_once_under_a_name_that_all_know(view in views()) {
        let count = view.families.iter().map(|family| family.series.len()).sum::<usize>();
        for escaping in [Escaping::Underscores, Escaping::Dots, Escaping::Values] {
            let mut page = Vec::new();
            let left_out = encode(&view, Variant::new(Format::Text, escaping), &mut page);
            let rows = read(&page, Format::Text);
            let distinct: BTreeSet<_> = rows.iter().map(|row| (&row.sample, &row.labels)).collect();
            prop_assert_eq!(distinct.len(), rows.len());
            let text = String::from_utf8(page.clone()).expect("UTF-8");
            let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:".contains(&byte));
            for row in &rows {
                prop_assert!(is_plain(&row.sample) && row.labels.iter().all(|(name, _)| is_plain(name)), "{}", text);
                prop_assert!(row.labels.windows(2).all(|pair| pair[0].0 != pair[1].0), "{}", text);
            }
            let has_code = view.families.iter().any(|family| family.name.starts_with("U__"));
            prop_assert!(left_out == 0 || has_code);
            prop_assert!(rows.len() == count || left_out > 0);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn an_encoder_prints_the_same_bytes_again_and_follows_every_change(
        views in vec(views(), 1..4),
        numbers in vec(0usize..4, 1..8),
    ) {
        for format in Format::ALL {
            let variant = Variant::new(format, Escaping::Underscores);
            let mut encoder = Encoder::new(variant);
            for number in &numbers {
                let view = &views[number % views.len()];
                let mut bytes = Vec::new();
                encoder.encode(view, &mut bytes);
                prop_assert_eq!(bytes, page(view, variant));
            }
        }
    }
}
