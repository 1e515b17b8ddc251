//! The view of the golden files and the oracles: every type, with everything that a family can have.

use std::sync::Arc;

use metrifold_merge::{Family, FamilyKind, Series, View};
use metrifold_model::{Exemplar, Labels};

/// 2024-02-29 12:00:00.25 UTC.
pub(crate) const CREATED: f64 = 1_709_208_000.25;

pub(crate) fn sample(name: &str, labels: &[(&str, &str)], value: f64) -> (Series, f64) {
    (Series { name: name.into(), labels: Labels::new(labels.iter().copied()) }, value)
}

fn exemplar(trace: &str, value: f64, timestamp: f64) -> Arc<Exemplar> {
    Arc::new(Exemplar { labels: Labels::new([("trace_id", trace)]), value, timestamp })
}

/// No quote in an exemplar: prometheus_client 0.26 does not read one there, whatever escapes it.
fn counter() -> Family {
    let samples = [
        sample("app_requests_total", &[("path", "C:\\\"x\"\n{},= # "), ("verb", "\u{fc}\u{2192}")], 1e6),
        sample("app_requests_total", &[("path", ""), ("verb", "GET")], 3.0),
    ];
    Family {
        created: vec![CREATED, 0.0],
        exemplars: vec![
            (0, exemplar("4bf92f,} 35", 1.0, 1_709_208_060.5)),
            (1, exemplar("untimed", 2.0, 0.0)),
        ],
        ..Family::new("app_requests", "back\\slash, \"quote\" and\nline", FamilyKind::Counter, samples)
    }
}

fn gauge() -> Family {
    let numbers = [f64::NAN, f64::NEG_INFINITY, -0.0, 1.5e-7, 12345678.9, -1e16];
    let sample =
        |(index, value): (usize, &f64)| sample("level_bytes", &[("pid", &index.to_string())], *value);
    let samples: Vec<_> = numbers.iter().enumerate().map(sample).collect();
    Family { unit: "bytes".into(), ..Family::new("level_bytes", "", FamilyKind::Gauge, samples) }
}

fn histogram() -> Family {
    let label_set = |verb: &'static str| {
        let bucket = |(bound, count)| sample("wait_seconds_bucket", &[("verb", verb), ("le", bound)], count);
        let buckets = [("1e-05", 0.0), ("0.5", 2.0), ("1.0", 2.0), ("1e+06", 3.0), ("+Inf", 4.0)].map(bucket);
        let sum = sample("wait_seconds_sum", &[("verb", verb)], 1234567.891);
        buckets.into_iter().chain([sum, sample("wait_seconds_count", &[("verb", verb)], 4.0)])
    };
    let samples: Vec<_> = ["GET", "PUT"].into_iter().flat_map(label_set).collect();
    Family {
        unit: "seconds".into(),
        created: vec![CREATED; samples.len()],
        exemplars: vec![(1, exemplar("a", 0.25, 1_709_208_061.0)), (11, exemplar("b", 2e6, 1_709_208_062.0))],
        ..Family::new("wait_seconds", "Time", FamilyKind::Histogram, samples)
    }
}

fn summary() -> Family {
    let samples = [
        sample("size_count", &[], 2.0),
        sample("size_sum", &[], 12345678.9),
        sample("size", &[("quantile", "0.5")], 7.25),
        sample("size", &[("quantile", "0.99")], f64::NAN),
    ];
    Family { created: vec![CREATED; 4], ..Family::new("size", "Size", FamilyKind::Summary, samples) }
}

fn info() -> Family {
    let samples = [sample("build_info", &[("revision", "abc"), ("version", "1.2")], 1.0)];
    Family::new("build", "What runs", FamilyKind::Info, samples)
}

fn stateset() -> Family {
    let state = |zone: &'static str, state: &'static str, value| {
        sample("phase", &[("phase", state), ("zone", zone)], value)
    };
    let samples = [
        state("a", "starting", 0.0),
        state("b", "starting", 1.0),
        state("a", "running", 1.0),
        state("b", "running", 0.0),
    ];
    Family::new("phase", "Where it is", FamilyKind::StateSet, samples)
}

/// Names that only Prometheus 3 knows, and two that are one by underscores.
fn utf8() -> [Family; 4] {
    let counter = [sample("h\u{e9}llo w\u{f6}rld_total", &[("k\u{e9}y \"1\"", "v"), ("plain", "x")], 5.0)];
    let dotted = [
        sample("http.server", &[("http.method", "GET")], 1.0),
        sample("http.server", &[("http_method", "GET")], 2.0),
    ];
    let histogram = [
        sample("http.wait_bucket", &[("http.method", "GET"), ("le", "+Inf")], 2.0),
        sample("http.wait_sum", &[("http.method", "GET")], 3.5),
        sample("http.wait_count", &[("http.method", "GET")], 2.0),
    ];
    [
        Family::new("http.server", "Dotted", FamilyKind::Gauge, dotted),
        Family::new("http.wait", "Dotted", FamilyKind::Histogram, histogram),
        Family::new("http_server", "Not dotted", FamilyKind::Gauge, [sample("http_server", &[], 9.0)]),
        Family {
            created: vec![CREATED],
            ..Family::new("h\u{e9}llo w\u{f6}rld", "Spaces", FamilyKind::Counter, counter)
        },
    ]
}

/// Every type under names that everybody knows.
pub(crate) fn every_type() -> View {
    let mut families = vec![counter(), gauge(), histogram(), summary(), info(), stateset()];
    families.sort_by(|one, two| one.name.cmp(&two.name));
    View { families, ..View::default() }
}

/// The same with UTF-8 names.
pub(crate) fn every_type_and_name() -> View {
    let mut view = every_type();
    view.families.extend(utf8());
    view.families.sort_by(|one, two| one.name.cmp(&two.name));
    view
}
