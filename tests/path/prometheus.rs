//! What a real Prometheus makes of our scrape.

use std::{
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use metrifold_tests::{Gunicorn, GunicornSettings, Ledger, Load, Prometheus, eventually, get};
use tempfile::tempdir;

use crate::truth::assert_exact;

/// How long Prometheus scrapes.
const MINUTE: Duration = Duration::from_secs(60);

/// Goal: what Prometheus stored of a minute with deaths in it is the truth, without a counter reset. Method: the raw
/// last sample minus the raw first one against the ledger's difference; `resets()` of every monotone series.
#[test]
fn prometheus_sees_the_true_count_and_no_reset() -> Result<()> {
    let directory = tempdir()?;
    let settings =
        GunicornSettings { workers: 4, max_requests: 900, preload: false, environment: Vec::new() };
    let gunicorn = Gunicorn::start(directory.path(), &settings)?;
    let ledger = Ledger::new(&directory.path().join("ledger"));
    let target = gunicorn.metrics().trim_start_matches("http://").trim_end_matches("/metrics").to_owned();

    let warm_up = Load::start(gunicorn.url(), 1);
    eventually("some requests are answered", Duration::from_secs(20), || {
        ensure!(warm_up.answered() > 50, "only {}", warm_up.answered());
        Ok(())
    })?;
    warm_up.finish();
    let at_start = assert_exact(&gunicorn.metrics(), &ledger, 0)?.value("app_requests_total");
    let prometheus = Prometheus::start(&target)?;
    eventually("Prometheus has the first sample", Duration::from_secs(10), || {
        ensure!(prometheus.query("app_requests_total")? == Some(at_start), "not scraped yet");
        Ok(())
    })?;

    let load = Load::start(gunicorn.url(), 4);
    let mut kills = 0;
    let began = std::time::Instant::now();
    while began.elapsed() < MINUTE {
        std::thread::park_timeout(Duration::from_secs(5));
        gunicorn.kill_worker()?;
        kills += 1;
    }
    load.finish();
    let at_end = assert_exact(&gunicorn.metrics(), &ledger, kills)?.value("app_requests_total");
    ensure!(at_end > at_start, "nothing was counted");
    eventually("Prometheus has the last sample", Duration::from_secs(10), || {
        ensure!(prometheus.query("app_requests_total")? == Some(at_end), "not scraped yet");
        Ok(())
    })?;

    let first = prometheus.query("min_over_time(app_requests_total[5m])")?.context("no first sample")?;
    ensure!(at_end - first == at_end - at_start, "first raw sample {first}, true start {at_start}");
    let names =
        ["requests_total", "requests_by_path_total", "latency_seconds_bucket", "latency_seconds_count"];
    for name in names.iter().chain(&["latency_seconds_sum"]) {
        let resets = prometheus.query(&format!("sum(resets(app_{name}[5m]))"))?;
        ensure!(resets == Some(0.0), "app_{name}: {resets:?} resets");
    }
    let took = prometheus.query("max_over_time(scrape_duration_seconds[1m])")?;
    ensure!(
        prometheus.query("min_over_time(up[1m])")? == Some(1.0),
        "a scrape failed; the longest took {took:?} s"
    );
    assert_promtool_is_content(&get(&gunicorn.metrics())?)
}

/// `promtool check metrics` finds nothing to say.
fn assert_promtool_is_content(page: &str) -> Result<()> {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    promtool.stdin.take().context("no standard input")?.write_all(page.as_bytes())?;
    let output = promtool.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    ensure!(output.status.success() && said.is_empty(), "promtool: {}", String::from_utf8_lossy(&said));
    Ok(())
}
