//! The bytes of every format that we promised. `METRIFOLD_REGENERATE=1` writes the files of new formats.

#![expect(clippy::disallowed_methods, reason = "the crate is pure, its tests are not")]

#[path = "views/mod.rs"]
mod views;

use std::{fs, path::Path};

use metrifold_exposition::{Escaping, Format, Variant, encode};
use metrifold_merge::{Family, FamilyKind, View};
use views::{every_type_and_name, sample};

fn page(view: &View, format: Format, escaping: Escaping) -> Vec<u8> {
    let mut page = Vec::new();
    assert_eq!(encode(view, Variant::new(format, escaping), &mut page), 0, "families are left out");
    page
}

fn text(families: Vec<Family>, format: Format) -> String {
    let view = View { families, ..View::default() };
    String::from_utf8(page(&view, format, Escaping::AllowUtf8)).expect("UTF-8")
}

#[test]
fn every_format_prints_its_golden_file() {
    for (name, format, escaping) in [
        ("text_0_0_4.txt", Format::Text, Escaping::Underscores),
        ("text_0_0_4_dots.txt", Format::Text, Escaping::Dots),
        ("text_0_0_4_values.txt", Format::Text, Escaping::Values),
        ("text_1_0_0.txt", Format::Text1, Escaping::AllowUtf8),
        ("openmetrics_1_0_0.txt", Format::OpenMetrics1, Escaping::AllowUtf8),
        ("openmetrics_1_0_0_underscores.txt", Format::OpenMetrics1, Escaping::Underscores),
        ("openmetrics_2_0_0.txt", Format::OpenMetrics2, Escaping::AllowUtf8),
        ("protobuf.hex", Format::Protobuf, Escaping::AllowUtf8),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        let printed = page(&every_type_and_name(), format, escaping);
        let printed = match format {
            Format::Protobuf => hex(&printed),
            _ => String::from_utf8(printed).expect("UTF-8"),
        };
        if std::env::var_os("METRIFOLD_REGENERATE").is_some() && !path.exists() {
            fs::write(&path, &printed).expect("written");
        }
        assert_eq!(printed, fs::read_to_string(&path).expect("a golden file"), "{name}");
    }
}

/// A line per 32 bytes.
fn hex(bytes: &[u8]) -> String {
    let line = |line: &[u8]| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
    bytes.chunks(32).map(line).collect()
}

#[test]
fn in_openmetrics_a_counter_without_total_keeps_its_name_and_loses_its_type() {
    let counter = || {
        let samples = [sample("req", &[], 1.0), sample("req_total", &[], 2.0)];
        vec![Family::new("req", "R", FamilyKind::Counter, samples)]
    };
    assert_eq!(
        text(counter(), Format::OpenMetrics1),
        "# TYPE req unknown\n# HELP req R\nreq 1.0\n# TYPE req_total unknown\n# HELP req_total R\nreq_total 2.0\n# EOF\n"
    );
    assert_eq!(
        text(counter(), Format::OpenMetrics2),
        "# TYPE req counter\n# HELP req R\nreq 1.0\n# TYPE req_total counter\n# HELP req_total R\nreq_total 2.0\n# EOF\n"
    );
}

#[test]
fn a_unit_that_is_no_suffix_is_not_shown_to_those_who_would_refuse_the_page() {
    let family = Family {
        unit: "seconds".into(),
        ..Family::new("age", "A", FamilyKind::Gauge, [sample("age", &[], 1.0)])
    };
    assert!(!text(vec![family.clone()], Format::OpenMetrics1).contains("UNIT"));
    assert!(text(vec![family], Format::OpenMetrics2).contains("# UNIT age seconds\n"));
}

#[test]
fn an_exemplar_that_is_too_long_for_openmetrics_1_is_left_out_there() {
    let long = metrifold_model::Exemplar {
        labels: metrifold_model::Labels::new([("trace_id", "x".repeat(121))]),
        value: 1.0,
        timestamp: 1.5e9,
    };
    let counter = Family::new("c", "C", FamilyKind::Counter, [sample("c_total", &[], 1.0)]);
    let counter = Family { exemplars: vec![(0, long.into())], ..counter };
    assert!(text(vec![counter.clone()], Format::OpenMetrics1).contains("c_total 1.0\n"));
    assert!(text(vec![counter], Format::OpenMetrics2).contains("c_total 1.0 # {trace_id=\"xxx"));
}

#[test]
fn an_empty_view_is_a_valid_page_of_every_format() {
    for (format, expected) in [
        (Format::Text, ""),
        (Format::Text1, ""),
        (Format::OpenMetrics1, "# EOF\n"),
        (Format::OpenMetrics2, "# EOF\n"),
        (Format::Protobuf, ""),
    ] {
        assert_eq!(text(vec![], format), expected);
    }
}
