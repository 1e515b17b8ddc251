//! Programs that we did not write agree with the text: prometheus_client prints the same bytes, promtool accepts them.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use metrifold_exposition::{TextEncoder, encode_text};
use metrifold_merge::{Family, FamilyKind, Series, View};
use metrifold_model::Labels;

/// The same as in `golden/print_prometheus_client.py`.
const HOSTILE: [&str; 7] = ["C:\\dir\n", "\"quoted\"", "\\n", "\u{fc}n\u{ef}\u{2192}", "", "{},= #", "\r\t"];

/// The same as in `golden/print_prometheus_client.py`.
const NUMBERS: [f64; 24] = [
    0.0,
    1.0,
    -1.0,
    0.1,
    0.0001,
    0.00001,
    1.5e-7,
    5e-324,
    999999.0,
    1e6,
    1234567.0,
    1234567.25,
    -1234567.25,
    123456789012.0,
    1e15,
    9007199254740992.0,
    1e16,
    f64::MAX,
    -1e10,
    -1e16,
    0.30000000000000004,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
];

fn sample(name: &str, labels: &[(&str, &str)], value: f64) -> (Series, f64) {
    (Series { name: name.into(), labels: Labels::new(labels.iter().copied()) }, value)
}

fn hostile_counter() -> Family {
    let samples = HOSTILE.iter().enumerate().map(|(index, text)| {
        let number = index.to_string();
        let labels = [("verb", "GET"), ("path", text), ("index", &number)];
        sample("app_requests_total", &labels, index as f64)
    });
    Family::new("app_requests", "back\\slash, \"quote\" and\nline", FamilyKind::Counter, samples)
}

fn gauge(help: &str) -> Family {
    let samples = NUMBERS
        .iter()
        .enumerate()
        .map(|(index, number)| sample("level", &[("pid", &format!("{index:02}"))], *number));
    Family::new("level", help, FamilyKind::Gauge, samples)
}

fn histogram() -> Family {
    let buckets = [("0.005", 1.0), ("1.0", 2.0), ("2.5", 2.0), ("1e+06", 3.0), ("+Inf", 4.0)];
    let label_set = |verb: &'static str| {
        let buckets =
            buckets.map(|(bound, count)| sample("seconds_bucket", &[("verb", verb), ("le", bound)], count));
        let sum = sample("seconds_sum", &[("verb", verb)], 1234567.891);
        buckets.into_iter().chain([sum, sample("seconds_count", &[("verb", verb)], 4.0)])
    };
    Family::new("seconds", "Time", FamilyKind::Histogram, ["GET", "PUT"].into_iter().flat_map(label_set))
}

fn summary() -> Family {
    let samples = [sample("size_bytes_count", &[], 2.0), sample("size_bytes_sum", &[], 3e9)];
    Family::new("size_bytes", "Size", FamilyKind::Summary, samples)
}

fn text(families: Vec<Family>) -> String {
    let mut bytes = Vec::new();
    encode_text(&View { families, ..View::default() }, &mut bytes);
    String::from_utf8(bytes).expect("text")
}

#[test]
fn prometheus_client_prints_the_same_bytes() {
    let families = vec![hostile_counter(), gauge(""), histogram(), summary()];
    assert_eq!(text(families), include_str!("golden/prometheus_client.txt"));
}

#[test]
fn an_encoder_prints_the_same_bytes_again_and_follows_every_change() {
    let mut encoder = TextEncoder::default();
    let mut same = |families: &[Family]| {
        let mut bytes = Vec::new();
        encoder.encode(&View { families: families.to_vec(), ..View::default() }, &mut bytes);
        assert_eq!(String::from_utf8(bytes).expect("text"), text(families.to_vec()));
    };
    let (mut counter, mut level) = (hostile_counter(), gauge("Level"));
    same(&[counter.clone(), level.clone()]);
    counter.values.iter_mut().for_each(|value| *value += 0.5);
    same(&[counter.clone(), level.clone()]);
    level.help = "Another".into();
    same(&[counter.clone(), level.clone()]);
    level.series = level.series.iter().rev().cloned().collect();
    same(&[counter.clone(), level.clone()]);
    same(&[counter.clone()]);
    counter.kind = FamilyKind::Gauge;
    same(&[counter, level]);
}

#[test]
fn promtool_finds_no_fault() {
    let page = text(vec![hostile_counter(), gauge("Level"), histogram(), summary()]);
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        eprintln!("skipped: no promtool on PATH (Debian's package `prometheus` has it)");
        return;
    };
    let mut stdin = promtool.stdin.take().expect("piped");
    stdin.write_all(page.as_bytes()).expect("promtool reads everything");
    drop(stdin);
    let output = promtool.wait_with_output().expect("promtool ends");
    let found = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success() && found.iter().all(String::is_empty), "{found:?}\n{page}");
}
