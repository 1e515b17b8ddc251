//! The bytes of text 0.0.4 that we promised.

use metrifold_exposition::{Variant, encode};
use metrifold_merge::{Family, FamilyKind, Series, View};
use metrifold_model::Labels;

fn sample(name: &str, labels: &[(&str, &str)], value: f64) -> (Series, f64) {
    (Series { name: name.into(), labels: Labels::new(labels.iter().copied()) }, value)
}

fn family(name: &str, kind: FamilyKind, help: &str, samples: Vec<(Series, f64)>) -> Family {
    Family::new(name, help, kind, samples)
}

fn text(families: Vec<Family>) -> String {
    let mut bytes = Vec::new();
    encode(&View { families, ..View::default() }, Variant::default(), &mut bytes);
    String::from_utf8(bytes).expect("text")
}

/// Every type, hostile help and labels, numbers at the edges of their forms.
#[test]
fn every_type_prints_as_its_golden_file() {
    let families = vec![
        family(
            "app",
            FamilyKind::Counter,
            "back\\slash, \"quote\" and\nline",
            vec![
                sample("app_total", &[("path", "C:\\\"x\"\n"), ("verb", "\u{fc}")], 1e6),
                sample("app_total", &[("path", ""), ("verb", "")], 0.0),
            ],
        ),
        family(
            "level",
            FamilyKind::Gauge,
            "",
            vec![
                sample("level", &[("pid", "1")], f64::NAN),
                sample("level", &[("pid", "2")], f64::NEG_INFINITY),
                sample("level", &[("pid", "3")], -0.0),
                sample("level", &[("pid", "4")], 1.5e-7),
            ],
        ),
        family(
            "seconds",
            FamilyKind::Histogram,
            "Time",
            vec![
                sample("seconds_bucket", &[("le", "0.1")], 1.0),
                sample("seconds_bucket", &[("le", "+Inf")], 3.0),
                sample("seconds_sum", &[], 0.30000000000000004),
                sample("seconds_count", &[], 3.0),
            ],
        ),
        family(
            "size",
            FamilyKind::Summary,
            "Size",
            vec![sample("size_count", &[], 2.0), sample("size_sum", &[], 12345678.9)],
        ),
    ];
    assert_eq!(text(families), include_str!("golden/every_type.txt"));
}

#[test]
fn an_empty_view_is_an_empty_page() {
    assert_eq!(text(vec![]), "");
}

#[test]
fn a_counter_without_total_has_metadata_of_its_own() {
    let samples = vec![sample("req", &[], 1.0), sample("req_total", &[], 2.0)];
    let page = text(vec![family("req", FamilyKind::Counter, "R", samples)]);
    assert_eq!(
        page,
        "# HELP req R\n# TYPE req counter\nreq 1.0\n# HELP req_total R\n# TYPE req_total counter\nreq_total 2.0\n"
    );
}

/// Only a counter's name is that of its sample without the suffix. The third name makes names be looked at at all.
#[test]
fn a_gauge_that_is_called_like_a_counters_sample_stands_beside_one_that_is_called_like_the_counter() {
    let gauge = |name: &str| family(name, FamilyKind::Gauge, "", vec![sample(name, &[], 1.0)]);
    let page = text(vec![gauge("a"), gauge("a_total"), gauge("b.c")]);
    for line in ["a 1.0", "a_total 1.0", "b_c 1.0"] {
        assert!(page.lines().any(|shown| shown == line), "{line}: {page}");
    }
}
