//! `docs/reference/metrics.md` is what the list of own metrics says. `METRIFOLD_REGENERATE=1` writes it.

use std::{error::Error, fmt::Write, fs, path::Path};

use metrifold_telemetry::{
    Metrics,
    names::{self, MetricName},
};
use prometheus::{Registry, proto::MetricType};

const INTRODUCTION: &str = "# Own metrics\n\n\
    <!-- Generated from services/telemetry/src/names.rs; METRIFOLD_REGENERATE=1 cargo test -p metrifold-telemetry -->\n\n\
    What every server says of itself at `/-/metrics`, in text format 0.0.4. They are not in `/metrics`, because they differ\n\
    between replicas. Metrics with labels appear with their first event.\n\n\
    On Linux the usual `process_*` metrics stand beside them: start time, CPU seconds, memory, threads, open files.\n\n\
    | metric | type | labels | meaning |\n| --- | --- | --- | --- |\n";

/// The type, which the name's suffix says.
fn kind(name: &MetricName) -> MetricType {
    match name.name.rsplit('_').next() {
        Some("total") => MetricType::COUNTER,
        // A time is a moment, and not a span that is observed again and again.
        Some("seconds") if !name.name.ends_with("_timestamp_seconds") => MetricType::HISTOGRAM,
        _ => MetricType::GAUGE,
    }
}

fn page() -> Result<String, std::fmt::Error> {
    let mut page = INTRODUCTION.to_owned();
    for name in names::ALL {
        let kind = match kind(&name) {
            MetricType::COUNTER => "counter",
            MetricType::HISTOGRAM => "histogram",
            _ => "gauge",
        };
        let labels: Vec<_> = name.labels.iter().map(|label| format!("`{label}`")).collect();
        writeln!(page, "| `{}` | {kind} | {} | {} |", name.name, labels.join(", "), name.help)?;
    }
    Ok(page)
}

#[test]
fn the_reference_is_what_the_list_says() -> Result<(), Box<dyn Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/metrics.md");
    if std::env::var_os("METRIFOLD_REGENERATE").is_some() {
        fs::create_dir_all(path.parent().ok_or("a file lies in a folder")?)?;
        return Ok(fs::write(path, page()?)?);
    }
    let same = fs::read_to_string(path)? == page()?;
    assert!(
        same,
        "docs/reference/metrics.md has drifted; run METRIFOLD_REGENERATE=1 cargo test -p metrifold-telemetry"
    );
    Ok(())
}

#[test]
fn a_name_tells_the_type_of_its_metric() -> Result<(), Box<dyn Error>> {
    let registry = Registry::new();
    Metrics::register(&registry)?;
    for family in registry.gather() {
        let name =
            names::ALL.iter().find(|name| name.name == family.name()).ok_or("a metric outside the list")?;
        assert_eq!(family.get_field_type(), kind(name), "{}", name.name);
    }
    Ok(())
}
