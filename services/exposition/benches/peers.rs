//! What a scrape of 100,000 series costs in every format, against what others take for the same in the same run: the
//! crates `prometheus` and `prometheus-client`, and prometheus_client in Python if `make venv` has run.
//!
//! Prints milliseconds and ratios. Half of the values are whole numbers, all have two labels, and all change between
//! two scrapes. With `--require`, too small a ratio ends it with a failure.

#![expect(clippy::disallowed_methods, reason = "the crate is pure, its benchmarks are not")]

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::atomic::AtomicU64,
    time::{Duration, Instant},
};

use metrifold_exposition::{Encoder, Escaping, Format, Variant, encode};
use metrifold_merge::{Family, FamilyKind, Series, View};
use metrifold_model::Labels;
use prometheus::Encoder as _;

const FAMILIES: usize = 100;
const SERIES: usize = 1_000;
const ROUNDS: usize = 15;
/// How many times faster than the fastest Rust peer every format has to be.
const RATIO_MIN: f64 = 10.0;

/// The same in `peers.py`.
const PYTHON: &str = include_str!("peers.py");

fn value(index: usize) -> f64 {
    if index.is_multiple_of(2) { index as f64 } else { index as f64 / 7.0 }
}

fn path(index: usize) -> String {
    format!("/items/{index}")
}

fn view() -> View {
    let family = |number: usize| {
        let name = format!("requests_{number}");
        let samples = (0..SERIES).map(|index| {
            let labels = Labels::new([("path", path(index)), ("verb", "GET".into())]);
            (Series { name: format!("{name}_total"), labels }, value(index))
        });
        Family::new(name.as_str(), "Requests", FamilyKind::Counter, samples)
    };
    View { families: (0..FAMILIES).map(family).collect(), ..View::default() }
}

/// The median time of what runs after each `prepare`.
fn median<T>(mut prepare: impl FnMut() -> T, mut measured: impl FnMut(T)) -> Duration {
    let mut times: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let prepared = prepare();
            let began = Instant::now();
            measured(prepared);
            began.elapsed()
        })
        .collect();
    times.sort();
    times[ROUNDS / 2]
}

fn remembered(format: Format) -> Duration {
    let mut encoder = Encoder::new(Variant::new(format, Escaping::AllowUtf8));
    let (mut view, mut out) = (view(), Vec::new());
    encoder.encode(&view, &mut out);
    let mut change = || {
        view.families.iter_mut().flat_map(|family| &mut family.values).for_each(|value| *value += 1.0);
        out.clear();
        (view.clone(), std::mem::take(&mut out))
    };
    median(&mut change, |(view, mut out)| {
        encoder.encode(&view, &mut out);
        std::hint::black_box(out);
    })
}

fn from_nothing(format: Format) -> Duration {
    let view = view();
    median(Vec::new, |mut out| {
        encode(&view, Variant::new(format, Escaping::AllowUtf8), &mut out);
        std::hint::black_box(out);
    })
}

fn prometheus_crate() -> Duration {
    let registry = prometheus::Registry::new();
    for number in 0..FAMILIES {
        let options = prometheus::Opts::new(format!("requests_{number}_total"), "Requests");
        let counter = prometheus::CounterVec::new(options, &["path", "verb"]).expect("a good name");
        for index in 0..SERIES {
            counter.with_label_values(&[path(index).as_str(), "GET"]).inc_by(value(index));
        }
        registry.register(Box::new(counter)).expect("a new name");
    }
    median(Vec::new, |mut out| {
        prometheus::TextEncoder::new().encode(&registry.gather(), &mut out).expect("encoded");
        std::hint::black_box(out);
    })
}

fn prometheus_client_crate() -> Duration {
    type Counter = prometheus_client::metrics::counter::Counter<f64, AtomicU64>;
    let mut registry = prometheus_client::registry::Registry::default();
    for number in 0..FAMILIES {
        let counters = prometheus_client::metrics::family::Family::<[(&str, String); 2], Counter>::default();
        for index in 0..SERIES {
            counters.get_or_create(&[("path", path(index)), ("verb", "GET".into())]).inc_by(value(index));
        }
        registry.register(format!("requests_{number}"), "Requests", counters);
    }
    median(String::new, |mut out| {
        prometheus_client::encoding::text::encode(&mut out, &registry).expect("encoded");
        std::hint::black_box(out);
    })
}

/// `None` if there is no environment with prometheus_client.
fn prometheus_client_python() -> Option<Duration> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python =
        std::env::var_os("METRIFOLD_VENV").map_or_else(|| repository.join("target/venv"), PathBuf::from);
    let sizes = [FAMILIES, SERIES].map(|size| size.to_string());
    let output = Command::new(python.join("bin/python")).args(["-c", PYTHON]).args(sizes).output().ok()?;
    let seconds: f64 = String::from_utf8(output.stdout).ok()?.trim().parse().ok()?;
    Some(Duration::from_secs_f64(seconds))
}

fn main() -> ExitCode {
    let peers =
        [("crate prometheus", prometheus_crate()), ("crate prometheus-client", prometheus_client_crate())];
    let fastest = peers.iter().map(|(_, time)| *time).min().unwrap_or_default();
    let show = |name: &str, time: Duration| {
        let ratio = fastest.as_secs_f64() / time.as_secs_f64();
        println!("{name:<34} {:>9.2} ms  {ratio:>6.2} x the fastest Rust peer", time.as_secs_f64() * 1e3);
        ratio
    };
    println!("{} series", FAMILIES * SERIES);
    match prometheus_client_python() {
        Some(time) => show("Python prometheus_client", time),
        None => f64::NAN,
    };
    for (name, time) in peers {
        show(name, time);
    }
    let mut slowest = f64::INFINITY;
    for format in Format::ALL {
        slowest = slowest.min(show(&format!("{format:?}"), remembered(format)));
        show(&format!("{format:?}, from nothing"), from_nothing(format));
    }
    let is_required = std::env::args().any(|argument| argument == "--require");
    match is_required && slowest < RATIO_MIN {
        true => {
            println!("a format is only {slowest:.1} times as fast, and not {RATIO_MIN}");
            ExitCode::FAILURE
        }
        false => ExitCode::SUCCESS,
    }
}
