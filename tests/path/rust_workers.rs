//! Rust workers that push an ordinary `prometheus::Registry` by themselves.

use std::{path::Path, time::Duration};

use anyhow::{Result, ensure};
use metrifold_tests::{Redis, Scrape, Server, Watch, eventually};
use rustix::process::Signal;
use tempfile::tempdir;

use crate::worker::Worker;

const WORKERS: usize = 4;
const KILLS: usize = 6;
/// Acknowledged events of a worker before the next one is killed: some pushes, and several scrapes of the watch.
const EVENTS_MIN: u64 = 4_000;

/// What the ledgers of some workers say.
#[derive(Debug, Default)]
struct Truth {
    started: u64,
    acknowledged: u64,
}

fn start(number: usize, target: &str, directory: &Path) -> Result<Worker> {
    let variables = [("METRIFOLD_NAMESPACE", "rust"), ("METRIFOLD_PUSH_INTERVAL", "200ms")];
    Worker::start(&format!("worker-{number}"), target, 5_000, &variables, directory)?
        .acknowledged(EVENTS_MIN, Duration::from_secs(20))
}

/// The number of events as a counter, a labelled counter and a histogram have it.
fn totals(scrape: &Scrape) -> [f64; 3] {
    let by_path = scrape.starting("worker_requests_total{").map(|(_, value)| value).sum();
    [scrape.value("worker_events_total"), by_path, scrape.value("worker_seconds_count")]
}

/// Goal: with no collector on the path, nothing that was acknowledged is lost and nothing is counted twice, whoever is
/// killed. Method: SIGKILL workers in turn, end the rest in order, and compare with the ledgers. A process that pushes
/// for itself and is SIGKILLed may lose what was not acknowledged yet: the bound that the manual states.
#[test]
fn rust_workers_straight_to_redis_are_exact_and_monotone() -> Result<()> {
    let directory = tempdir()?;
    let redis = Redis::start()?;
    let arguments = ["exporter", "--redis-url", &redis.url(), "--namespace", "rust"];
    let exporter = Server::start("exporter", &arguments, directory.path())?;

    let mut truth = Truth::default();
    let mut workers: Vec<Worker> =
        (0..WORKERS).map(|number| start(number, &redis.url(), directory.path())).collect::<Result<_>>()?;
    eventually("the namespace is shown", Duration::from_secs(20), || Scrape::of(&exporter.metrics()))?;
    let watch = Watch::start(&[exporter.page()]);
    for number in WORKERS..WORKERS + KILLS {
        let mut victim = workers.remove(0);
        victim.end(Signal::KILL, Duration::from_secs(5))?;
        let [started, _, acknowledged] = victim.words()?;
        truth.started += started;
        truth.acknowledged += acknowledged;
        workers.push(start(number, &redis.url(), directory.path())?);
    }
    for mut worker in workers {
        worker.end(Signal::TERM, Duration::from_secs(20))?;
        let [started, finished, acknowledged] = worker.words()?;
        ensure!(
            started == finished && finished == acknowledged,
            "an orderly end loses nothing: {:?}",
            worker.words()
        );
        truth.started += started;
        truth.acknowledged += acknowledged;
    }

    let scrape = eventually("what was acknowledged is shown", Duration::from_secs(20), || {
        let scrape = Scrape::of(&exporter.metrics())?;
        for merged in totals(&scrape) {
            ensure!(merged >= truth.acknowledged as f64, "{merged} of {truth:?}");
        }
        Ok(scrape)
    })?;
    for merged in totals(&scrape) {
        ensure!(merged <= truth.started as f64, "{merged} of {truth:?}");
    }
    watch.finish(10)?;
    Ok(())
}

/// Goal: what a server with a data directory has acknowledged as a worker's last push survives the server, however soon it
/// is killed, and with live workers no scrape shows less than one before. Method: end a worker in order and SIGKILL the
/// server the moment it has gone, over and over.
#[test]
fn a_server_with_a_data_directory_may_be_killed_the_moment_a_worker_has_ended() -> Result<()> {
    let directory = tempdir()?;
    let data = directory.path().join("data").display().to_string();
    let segments = directory.path().join("segments").display().to_string();
    let arguments = ["serve", "--namespace", "rust", "--data-dir", &data, "--segment-dir", &segments];
    let mut server = Server::start("serve", &arguments, directory.path())?;
    let target = server.url().to_owned();
    let mut truth = Truth::default();
    let mut workers: Vec<Worker> =
        (0..WORKERS).map(|number| start(number, &target, directory.path())).collect::<Result<_>>()?;
    let watch = Watch::start(&[server.page()]);
    for number in WORKERS..WORKERS + KILLS {
        let mut ending = workers.remove(0);
        ending.end(Signal::TERM, Duration::from_secs(20))?;
        server.kill()?;
        let [started, finished, acknowledged] = ending.words()?;
        ensure!(started == finished && finished == acknowledged, "an orderly end loses nothing");
        truth.started += started;
        truth.acknowledged += acknowledged;
        server.start_again()?;
        workers.push(start(number, &target, directory.path())?);
    }
    for mut worker in workers {
        worker.end(Signal::TERM, Duration::from_secs(20))?;
        let [started, _, acknowledged] = worker.words()?;
        truth.started += started;
        truth.acknowledged += acknowledged;
    }
    server.kill()?;
    server.start_again()?;
    let scrape =
        eventually("the server shows its view", Duration::from_secs(20), || Scrape::of(&server.metrics()))?;
    for merged in totals(&scrape) {
        ensure!(
            merged >= truth.acknowledged as f64 && merged <= truth.started as f64,
            "the first scrape shows {merged} of {truth:?}"
        );
    }
    watch.finish(10)?;
    Ok(())
}
