//! What printing a scrape of 100,000 series costs, half of them whole numbers.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use metrifold_exposition::{Encoder, Variant, encode};
use metrifold_merge::{Family, FamilyKind, Series, View};
use metrifold_model::Labels;

const FAMILIES: usize = 100;
const SERIES: usize = 1_000;

fn family(number: usize) -> Family {
    let name = format!("requests_{number}");
    let samples = (0..SERIES).map(|index| {
        let labels = Labels::new([("path", format!("/items/{index}")), ("verb", "GET".into())]);
        let value = if index % 2 == 0 { index as f64 } else { index as f64 / 7.0 };
        (Series { name: format!("{name}_total"), labels }, value)
    });
    Family::new(name.as_str(), "Requests", FamilyKind::Counter, samples)
}

fn benches(criterion: &mut Criterion) {
    let view = View { families: (0..FAMILIES).map(family).collect(), ..View::default() };
    let mut encoder = Encoder::new(Variant::default());
    let mut out = Vec::new();
    criterion.bench_function("encode 100000 series, remembered", |bencher| {
        bencher.iter(|| {
            out.clear();
            encoder.encode(black_box(&view), &mut out);
        });
    });
    criterion.bench_function("encode 100000 series, from nothing", |bencher| {
        bencher.iter(|| {
            out.clear();
            encode(black_box(&view), Variant::default(), &mut out);
        });
    });
}

criterion_group!(group, benches);
criterion_main!(group);
