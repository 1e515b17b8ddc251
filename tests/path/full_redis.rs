//! A Redis that is full, and those who come only then.

use std::{
    process::{Command, Output},
    time::Duration,
};

use anyhow::{Result, ensure};
use metrifold_tests::{Redis, Scrape, Server, binary, eventually, get};
use rustix::process::Signal;
use tempfile::tempdir;

use crate::worker::Worker;

const AMPLE: Duration = Duration::from_secs(60);

/// Only a server can fold and make room, so one that starts must not be turned away; nor may those who tidy up.
#[test]
fn a_server_that_starts_on_a_full_redis_serves_and_folds_and_people_can_tidy_up() -> Result<()> {
    let directory = tempdir()?;
    let redis = Redis::with(&["--maxmemory-policy", "noeviction"], &[])?;
    let url = redis.url();
    let short = [("METRIFOLD_STORE__SETTLE", "500ms"), ("METRIFOLD_STORE__RESTORE_GRACE", "100ms")];
    let server =
        |name: &str, role: &str| Server::with(name, &[role, "--redis-url", &url], &short, directory.path());
    let first = server("first", "collector")?;
    let mut worker = Worker::start("worker", &url, 500, &[], directory.path())?.acknowledged(0, AMPLE)?;
    worker.end(Signal::KILL, AMPLE)?;
    let acknowledged = worker.words()?[2] as f64;
    drop(first);

    ensure!(redis.command(&["CONFIG", "SET", "maxmemory", "1"])? == "OK", "it is full");
    let late = server("late", "exporter")?;
    let seen = eventually("the late exporter shows what was counted", AMPLE, || {
        Ok(Scrape::of(&late.metrics())?.value("worker_events_total"))
    })?;
    ensure!(seen >= acknowledged, "{seen} of {acknowledged}");
    let ready = get(&format!("{}/-/ready", late.url())).expect_err("it is full").to_string();
    ensure!(ready.contains("maxmemory"), "{ready}");

    let run = |words: &[&str]| -> Result<Output> {
        let mut command = Command::new(binary()?);
        Ok(command.args(words).args(["--redis-url", &url]).envs(short).output()?)
    };
    let tidy = |words: &[&str], expected: &str| -> Result<()> {
        let output = run(words)?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let reason = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success() && said.contains(expected), "{words:?}: {said}{reason}");
        Ok(())
    };
    tidy(&["workers"], "1 live, 0 dead, 0 folded")?;
    tidy(&["retire", "--silent-for", "0s"], "1 sources")?;
    tidy(&["workers"], "0 live, 0 dead, 1 folded")?;
    ensure!(Scrape::of(&late.metrics())?.value("worker_events_total") == seen, "folded, and nothing lost");
    tidy(&["wipe", "--yes"], "is empty")
}
