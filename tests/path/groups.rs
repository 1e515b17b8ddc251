//! Views by a label of workers, which the archive keeps.

use std::time::Duration;

use anyhow::{Result, ensure};
use metrifold_tests::{Redis, Scrape, Server, Watch, eventually};
use rustix::process::Signal;
use tempfile::tempdir;

use crate::worker::Worker;

const ZONES: [&str; 2] = ["east", "west"];
/// Workers of each zone, one after the other, each killed.
const GENERATIONS: usize = 3;
/// Acknowledged events of a worker before it is killed.
const EVENTS_MIN: u64 = 500;

/// Goal: each zone's totals are exact within the bounds and never fall, though all that counted for it have been
/// killed and folded. Method: SIGKILL every worker of two zones, let them be folded, compare with the ledgers.
#[test]
fn totals_by_zone_outlive_every_worker_of_the_zone() -> Result<()> {
    let directory = tempdir()?;
    let directory = directory.path();
    let redis = Redis::start()?;
    let url = redis.url();
    let arguments = ["exporter", "--redis-url", &url];
    let settings = [("METRIFOLD_WORKERS__TTL", "1s"), ("METRIFOLD_WORKERS__ARCHIVE_LABELS", "zone")];
    let exporter = Server::with("exporter", &arguments, &settings, directory)?;
    let by_zone = format!("{}?group_by=zone", exporter.metrics());
    // Each of its own: a watch also refuses series that vanish.
    let mut watches = Vec::new();

    let mut truth = ZONES.map(|zone| (zone, [0; 3]));
    for generation in 0..GENERATIONS {
        for (zone, sum) in &mut truth {
            let labels = format!("zone={zone}");
            let variables = [("METRIFOLD_LABELS", labels.as_str()), ("METRIFOLD_PUSH_INTERVAL", "200ms")];
            let name = format!("{zone}-{generation}");
            let worker = Worker::start(&name, &url, 2_000, &variables, directory)?;
            let mut worker = worker.acknowledged(EVENTS_MIN, Duration::from_secs(30))?;
            if watches.is_empty() {
                watches =
                    [exporter.page(), exporter.page().at(&by_zone)].map(|page| Watch::start(&[page])).into();
            }
            worker.end(Signal::KILL, Duration::from_secs(5))?;
            sum.iter_mut().zip(worker.words()?).for_each(|(sum, word)| *sum += word);
        }
    }
    let killed = ZONES.len() * GENERATIONS;
    eventually("all are folded", Duration::from_secs(30), || {
        let folded = exporter.sources("folded")?;
        ensure!(folded == killed as f64, "{folded} of {killed}");
        Ok(())
    })?;
    let (whole, grouped) = (Scrape::of(&exporter.metrics())?, Scrape::of(&by_zone)?);
    let mut sum = 0.0;
    for (zone, [started, _, acknowledged]) in truth {
        let shown = grouped.value(&format!("worker_events_total{{zone=\"{zone}\"}}"));
        ensure!(shown >= acknowledged as f64 && shown <= started as f64, "{zone}: {shown} of {truth:?}");
        sum += shown;
    }
    ensure!(whole.value("worker_events_total") == sum, "{sum} by zone, but {:?}", whole.samples);
    for watch in watches {
        watch.finish(10)?;
    }

    let refused = Scrape::of(&format!("{}?group_by=host", exporter.metrics()));
    let refused = refused.map_err(|error| error.to_string()).err().unwrap_or_default();
    ensure!(refused.contains("400") && refused.contains("workers.archive_labels"), "{refused:?}");
    Ok(())
}
