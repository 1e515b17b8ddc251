//! Namespaces are made by pushes.

use std::time::Duration;

use anyhow::{Result, ensure};
use metrifold_tests::{Redis, Scrape, Server, eventually, get};
use tempfile::tempdir;

use crate::worker::Worker;

const AMPLE: Duration = Duration::from_secs(60);

/// A mistyped name leaves nothing behind, and nobody takes an empty page for the truth.
#[test]
fn an_exporter_makes_no_namespace_and_shows_it_once_somebody_has_pushed_into_it() -> Result<()> {
    let directory = tempdir()?;
    let redis = Redis::start()?;
    let url = redis.url();
    let arguments = ["exporter", "--redis-url", &url, "--namespace", "shpo"];
    let exporter = Server::start("exporter", &arguments, directory.path())?;
    let keys = || redis.command(&["KEYS", "*"]);
    // As long as servers need to open what they find.
    for _ in 0..4 {
        let reason = get(&exporter.metrics()).expect_err("nobody has pushed into it").to_string();
        ensure!(reason.contains("503") && reason.contains("shpo"), "{reason}");
        ensure!(keys()?.is_empty(), "{}", keys()?);
        std::thread::sleep(Duration::from_secs(1));
    }
    let variables = [("METRIFOLD_NAMESPACE", "shpo")];
    let _worker = Worker::start("worker", &url, 500, &variables, directory.path())?;
    eventually("the namespace is shown", AMPLE, || {
        ensure!(Scrape::of(&exporter.metrics())?.value("worker_events_total") > 0.0, "nothing yet");
        Ok(())
    })
}
