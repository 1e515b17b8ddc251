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

/// Undoes a help text's escapes.
fn unescape(help: &str) -> String {
    let mut characters = help.chars();
    let mut raw = String::new();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next().expect("an escaped character") {
                'n' => raw.push('\n'),
                other => raw.push(other),
            },
            other => raw.push(other),
        }
    }
    raw
}

/// Label sets that all differ, since a view has every line once.
fn series() -> impl Strategy<Value = Vec<(Labels, f64)>> {
    let labels = proptest::collection::btree_map("[a-zA-Z_][a-zA-Z0-9_]{0,5}", any::<String>(), 0..4);
    proptest::collection::btree_map(labels, any::<f64>(), 1..6)
        .prop_map(|lines| lines.into_iter().map(|(labels, value)| (Labels::new(labels), value)).collect())
}

proptest! {
    #[test]
    fn whatever_is_printed_reads_back(
        families in proptest::collection::btree_map("[a-zA-Z_:][a-zA-Z0-9_:]{0,8}", (any::<String>(), series()), 0..4),
    ) {
        let view = families.iter().map(|(name, (help, lines))| {
            let line = |(labels, value): &(Labels, f64)| {
                (Series { name: name.clone(), labels: labels.clone() }, *value)
            };
            Family::new(name.as_str(), help.as_str(), FamilyKind::Gauge, lines.iter().map(line))
        });
        let page = text(view.collect());
        // Other line ends than LF are ordinary characters of the format.
        let mut lines = page.split_terminator('\n');
        prop_assert!(page.is_empty() || page.ends_with('\n'));
        for (name, (help, samples)) in &families {
            let metadata = lines.next().expect("a help line");
            let shown = metadata.strip_prefix(&format!("# HELP {name} ")).expect("the name");
            prop_assert_eq!(&unescape(shown), help);
            let expected = format!("# TYPE {name} gauge");
            prop_assert_eq!(lines.next(), Some(expected.as_str()));
            for (labels, value) in samples {
                let (read_name, read_labels, read) = parse(lines.next().expect("a sample"));
                prop_assert_eq!(&read_name, name);
                prop_assert_eq!(&Labels::new(read_labels), labels);
                prop_assert!(read.to_bits() == value.to_bits() || (read.is_nan() && value.is_nan()));
            }
        }
        prop_assert_eq!(lines.next(), None);
    }
}
