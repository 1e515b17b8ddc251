//! Rust workers that push an ordinary `prometheus::Registry` by themselves.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Result, ensure};
use metrifold_tests::{Process, Redis, Scrape, Server, Watch, eventually, rust_example, worker_words};
use rustix::process::Signal;
use tempfile::tempdir;

const WORKERS: usize = 4;
const KILLS: usize = 6;
/// Acknowledged events of a worker before the next one is killed: some pushes, and several scrapes of the watch.
const EVENTS_MIN: u64 = 4_000;

/// One worker and the ledger that it keeps outside Metrifold.
struct Worker {
    process: Process,
    ledger: PathBuf,
}

/// What the ledgers of some workers say.
#[derive(Debug, Default)]
struct Truth {
    started: u64,
    acknowledged: u64,
}

impl Worker {
    fn start(number: usize, target: &str, directory: &Path) -> Result<Worker> {
        let ledger = directory.join(format!("ledger-{number}"));
        let mut command = Command::new(rust_example("worker")?);
        command
            .args(["--target", target, "--rate", "5000", "--flush-every", "100ms"])
            .arg("--ledger")
            .arg(&ledger)
            .env("METRIFOLD_NAMESPACE", "rust")
            .env("METRIFOLD_PUSH_INTERVAL", "200ms");
        let process = Process::start(&format!("worker-{number}"), &mut command, directory)?;
        let worker = Worker { process, ledger };
        eventually("the worker's pushes are acknowledged", Duration::from_secs(20), || {
            ensure!(worker.words()?[2] > EVENTS_MIN, "too few yet: {}", worker.process.log());
            Ok(())
        })?;
        Ok(worker)
    }

    /// Started, finished, acknowledged.
    fn words(&self) -> Result<[u64; 3]> {
        worker_words(&self.ledger)
    }
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
    let mut workers: Vec<Worker> = (0..WORKERS)
        .map(|number| Worker::start(number, &redis.url(), directory.path()))
        .collect::<Result<_>>()?;
    eventually("the namespace is shown", Duration::from_secs(20), || Scrape::of(&exporter.metrics()))?;
    let watch = Watch::start(&[exporter.metrics()]);
    for number in WORKERS..WORKERS + KILLS {
        let mut victim = workers.remove(0);
        victim.process.signal(Signal::KILL)?;
        victim.process.wait(Duration::from_secs(5))?;
        let [started, _, acknowledged] = victim.words()?;
        truth.started += started;
        truth.acknowledged += acknowledged;
        workers.push(Worker::start(number, &redis.url(), directory.path())?);
    }
    for mut worker in workers {
        worker.process.signal(Signal::TERM)?;
        worker.process.wait(Duration::from_secs(20))?;
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
