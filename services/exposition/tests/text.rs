//! The bytes we promised, and that whatever is printed reads back.

use metrifold_exposition::encode_text;
use metrifold_merge::{Family, FamilyKind, Series, View};
use metrifold_model::Labels;
use proptest::prelude::*;

fn sample(name: &str, labels: &[(&str, &str)], value: f64) -> (Series, f64) {
    (Series { name: name.into(), labels: Labels::new(labels.iter().copied()) }, value)
}

fn family(name: &str, kind: FamilyKind, help: &str, samples: Vec<(Series, f64)>) -> Family {
    Family::new(name, help, kind, samples)
}

fn text(families: Vec<Family>) -> String {
    let mut bytes = Vec::new();
    encode_text(&View { families, ..View::default() }, &mut bytes);
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

/// Reads one sample line back, by the format's rules and not by the encoder's code.
fn parse(line: &str) -> (String, Vec<(String, String)>, f64) {
    let (head, value) = line.rsplit_once(' ').expect("a value");
    let value = value.parse().expect("a number");
    let Some((name, rest)) = head.split_once('{') else { return (head.into(), vec![], value) };
    let mut labels = Vec::new();
    let mut rest = rest.strip_suffix('}').expect("a closing brace");
    while !rest.is_empty() {
        let (label, quoted) = rest.split_once("=\"").expect("a quoted value");
        let (raw, after) = unquote(quoted);
        labels.push((label.to_owned(), raw));
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    (name.into(), labels, value)
}

fn unquote(quoted: &str) -> (String, &str) {
    let mut raw = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (raw, &quoted[at + 1..]),
            '\\' => match characters.next().expect("an escaped character").1 {
                'n' => raw.push('\n'),
                other => raw.push(other),
            },
            other => raw.push(other),
        }
    }
    panic!("an open quote in {quoted:?}")
}

proptest! {
    #[test]
    fn whatever_is_printed_reads_back(
        help in any::<String>(),
        values in proptest::collection::vec((any::<String>(), any::<f64>()), 1..6),
    ) {
        let samples: Vec<_> = values.iter().map(|(label, value)| sample("g", &[("label", label)], *value)).collect();
        let page = text(vec![family("g", FamilyKind::Gauge, &help, samples)]);
        // Other line ends than LF are ordinary characters of the format.
        let lines: Vec<_> = page.strip_suffix('\n').expect("a final line feed").split('\n').collect();
        prop_assert_eq!(lines.len(), values.len() + 2);
        for (line, (label, value)) in lines[2..].iter().zip(&values) {
            let (name, labels, read) = parse(line);
            prop_assert_eq!(name, "g");
            prop_assert_eq!(labels, vec![("label".to_owned(), label.clone())]);
            prop_assert!(read.to_bits() == value.to_bits() || (read.is_nan() && value.is_nan()));
        }
    }
}
