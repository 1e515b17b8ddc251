//! Who counts as alive, for how long a gauge outlives its worker, and the settings of the guide that say so.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Result, ensure};
use metrifold_tests::{Process, Redis, Scrape, Server, eventually, get, rust_example};
use rustix::process::Signal;
use tempfile::{TempDir, tempdir};

const AMPLE: Duration = Duration::from_secs(60);
/// Short, so that a test sees it pass.
const TTL_SECONDS: &str = "2";
/// A reaper passes once a second: by then the time to live has passed twice.
const PASSES: f64 = 5.0;

/// One worker that pushes straight to Redis, has counted one event, and counts no more for minutes.
struct Idle {
    worker: Process,
    exporter: Server,
    _redis: Redis,
    _directory: TempDir,
}

impl Idle {
    fn start(environment: &[(&str, &str)]) -> Result<Idle> {
        let directory = tempdir()?;
        let redis = Redis::start()?;
        let port = redis.port().to_string();
        let guide = [("REDIS_ENABLED", "true"), ("REDIS_PORT", &port), ("REDIS_KEY_PREFIX", "idle")];
        let environment = [&guide, environment].concat();
        let exporter = Server::with("exporter", &["exporter"], &environment, directory.path())?;
        let worker = worker(&redis.url(), directory.path())?;
        let idle = Idle { worker, exporter, _redis: redis, _directory: directory };
        eventually("the worker is shown", AMPLE, || idle.demand([Some(1.0), Some(1.0)]))?;
        Ok(idle)
    }

    /// The gauge of mode `liveall`, the gauge of mode `all`, and always the counter.
    fn demand(&self, gauges: [Option<f64>; 2]) -> Result<()> {
        let scrape = Scrape::of(&self.exporter.metrics())?;
        ensure!(scrape.value("worker_events_total") == 1.0, "the counter is lost");
        let shown = ["worker_present{", "worker_seen{"]
            .map(|gauge| scrape.starting(gauge).next().map(|(_, value)| value));
        ensure!(shown == gauges, "{shown:?}");
        Ok(())
    }

    fn demand_sources(&self, live: f64, folded: f64) -> Result<()> {
        let sources = [self.exporter.sources("live")?, self.exporter.sources("folded")?];
        ensure!(sources == [live, folded], "live, folded: {sources:?}");
        Ok(())
    }

    /// Waits until the reaper has looked so often that whoever can die of silence has.
    fn let_the_reaper_look(&self) -> Result<()> {
        let passes = || -> Result<f64> {
            Ok(Scrape::parse(&get(&self.exporter.own_metrics())?)?.value("metrifold_reaper_passes_total"))
        };
        let before = passes()?;
        eventually("the reaper has looked", AMPLE, || {
            let now = passes()?;
            ensure!(now >= before + PASSES, "{now} passes after {before}");
            Ok(())
        })
    }
}

fn worker(url: &str, directory: &Path) -> Result<Process> {
    let mut command = Command::new(rust_example("worker")?);
    // The second event is due after some minutes.
    command.args(["--rate", "0.005", "--target", url, "--ledger"]).arg(directory.join("ledger"));
    command.env("METRIFOLD_NAMESPACE", "idle").env("METRIFOLD_PUSH_INTERVAL", "200ms");
    Process::start("worker", &mut command, directory)
}

#[test]
fn a_worker_with_nothing_to_say_stays_alive_by_its_heartbeats() -> Result<()> {
    let idle = Idle::start(&[("REDIS_TTL_SECONDS", TTL_SECONDS)])?;
    idle.let_the_reaper_look()?;
    idle.demand([Some(1.0), Some(1.0)])?;
    idle.demand_sources(1.0, 0.0)
}

#[test]
fn a_killed_workers_gauges_end_with_its_ttl_and_with_the_retention() -> Result<()> {
    let retention = ("METRIFOLD_WORKERS__GAUGE_RETENTION", "6s");
    let idle = Idle::start(&[("REDIS_TTL_SECONDS", TTL_SECONDS), retention])?;
    idle.worker.signal(Signal::KILL)?;
    eventually("the live gauge ends first", AMPLE, || idle.demand([None, Some(1.0)]))?;
    eventually("the other one after the retention", AMPLE, || idle.demand([None, None]))?;
    idle.demand_sources(0.0, 1.0)
}

#[test]
fn gauges_are_retained_for_the_time_to_live_where_nothing_else_is_said() -> Result<()> {
    let idle = Idle::start(&[("REDIS_TTL_SECONDS", TTL_SECONDS)])?;
    idle.worker.signal(Signal::KILL)?;
    eventually("both gauges end", AMPLE, || idle.demand([None, None]))
}

#[test]
fn without_a_time_to_live_a_silent_worker_stays_and_only_its_own_end_counts() -> Result<()> {
    let retention = ("METRIFOLD_WORKERS__GAUGE_RETENTION", "1h");
    let idle = Idle::start(&[("REDIS_TTL_SECONDS", TTL_SECONDS), ("REDIS_TTL_DISABLED", "true"), retention])?;
    idle.worker.signal(Signal::STOP)?;
    idle.let_the_reaper_look()?;
    idle.demand([Some(1.0), Some(1.0)])?;
    idle.demand_sources(1.0, 0.0)?;
    idle.worker.signal(Signal::CONT)?;
    idle.worker.signal(Signal::TERM)?;
    eventually("its last push ends it", AMPLE, || idle.demand_sources(0.0, 1.0))?;
    idle.demand([None, Some(1.0)])
}
