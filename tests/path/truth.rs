//! The comparison of a scrape with the ledger of `app.py`.

use std::time::Duration;

use anyhow::{Result, ensure};
use metrifold_tests::{Ledger, Scrape, eventually};

/// The sizes that `app.py` observes, by ledger byte.
const SIZES: [f64; 4] = [0.1, 0.0023, 1.7, 3.33];
/// The bounds of its histogram as they are exposed.
const BUCKETS: [(&str, f64); 4] = [("0.01", 0.01), ("0.5", 0.5), ("2.0", 2.0), ("+Inf", f64::INFINITY)];

/// Waits until every event of the ledger is in the merged view, then checks that at most one more per kill is.
pub(crate) fn assert_exact(url: &str, ledger: &Ledger, kills: u64) -> Result<Scrape> {
    let scrape = eventually("the merged view has every event", Duration::from_secs(30), || {
        let scrape = Scrape::of(url)?;
        check(&scrape, ledger, u64::MAX)?;
        Ok(scrape)
    })?;
    check(&scrape, ledger, kills)?;
    Ok(scrape)
}

fn check(scrape: &Scrape, ledger: &Ledger, kills: u64) -> Result<()> {
    between("app_requests_total", scrape.value("app_requests_total"), ledger.count("requests")?, kills)?;
    let by_path: f64 = scrape.starting("app_requests_by_path_total{").map(|(_, value)| value).sum();
    between("app_requests_by_path_total", by_path, ledger.count("by_path")?, kills)?;
    check_histogram(scrape, &ledger.events("latency")?, kills)
}

fn check_histogram(scrape: &Scrape, events: &[u8], kills: u64) -> Result<()> {
    let sizes: Vec<f64> = events.iter().map(|byte| SIZES[usize::from(*byte)]).collect();
    between("count", scrape.value("app_latency_seconds_count"), sizes.len() as u64, kills)?;
    for (text, bound) in BUCKETS {
        let series = format!("app_latency_seconds_bucket{{le=\"{text}\"}}");
        let expected = sizes.iter().filter(|size| **size <= bound).count() as u64;
        between(&series, scrape.value(&series), expected, kills)?;
    }
    let sum = scrape.value("app_latency_seconds_sum");
    let expected: f64 = sizes.iter().sum();
    // Each worker adds up in f64; the ledger is added in another order.
    let rounding = expected * 1e-9;
    let beyond = if kills == u64::MAX { f64::INFINITY } else { kills as f64 * SIZES[3] };
    ensure!(
        sum >= expected - rounding && sum <= expected + beyond + rounding,
        "sum {sum}, the ledger says {expected} and {kills} kills"
    );
    Ok(())
}

fn between(what: &str, merged: f64, written: u64, kills: u64) -> Result<()> {
    let most = written.saturating_add(kills) as f64;
    ensure!(
        merged >= written as f64 && merged <= most,
        "{what}: merged {merged}, the ledger says {written} and {kills} kills"
    );
    Ok(())
}
