//! Goal: the stack that people run keeps its promises when any part of it is killed. Method: bring up the compose file
//! on a real engine, count requests and events outside it, `docker kill` every service in turn, and compare.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use metrifold_tests::{Page, Watch, eventually, get, repository};

use crate::{engine::Engine, panels, stack::Stack};

const PATIENCE: Duration = Duration::from_secs(90);
/// What the killed application's container may lose: an interval of one second, and the push that was under way.
const UNPUSHED: Duration = Duration::from_secs(3);

#[test]
#[ignore = "it needs a container engine and static binaries; `make stack` brings both"]
fn totals_of_the_stack_stay_exact_through_the_kill_of_every_service() -> Result<()> {
    let mut run = Run::begin()?;
    let outcome = kill_every_service(&mut run);
    outcome.inspect_err(|_| eprintln!("{}", run.stack.logs()))
}

fn kill_every_service(run: &mut Run) -> Result<()> {
    run.everything_is_up()?;
    let page = Page::new(run.stack.url("METRIFOLD_PORT", "/metrics"));
    // That of an exporter which is killed as well.
    let outage = page.outage();
    let watch = Watch::start(&[page]);
    for service in ["redis", "collector-1", "collector-2", "exporter-1", "exporter-2", "prometheus"] {
        run.survives(service)?;
    }
    run.loses_an_interval_at_most_with_the_application()?;
    run.loses_nothing_by_an_orderly_stop_of_the_application()?;
    run.loses_what_was_not_acknowledged_at_most_with_the_worker()?;
    drop(outage);
    watch.finish(50)?;
    run.never_went_down_for_prometheus()?;
    run.panels_have_answers()
}

struct Run {
    stack: Stack,
    /// Requests that were answered, and therefore counted.
    requests: u64,
}

impl Run {
    fn begin() -> Result<Run> {
        let binaries = std::env::var_os("STACK_BINARIES").map(PathBuf::from);
        let binaries = binaries.context("STACK_BINARIES names no folder with static binaries")?;
        let engine = Engine::find()?.map_err(anyhow::Error::msg)?;
        let wheels = repository().join("target/wheels");
        Ok(Run { stack: Stack::up(engine, &binaries, &wheels)?, requests: 0 })
    }

    /// Counts requests that the application answers.
    fn request(&mut self, count: u64) -> Result<()> {
        let paths = ["/", "/", "/", "/broken"];
        for path in paths.into_iter().cycle().take(usize::try_from(count)?) {
            match get(&self.stack.url("APP_PORT", path)) {
                // Broken on purpose, and counted as well.
                Err(error) if !error.to_string().contains(": 500 ") => return Err(error),
                _ => self.requests += 1,
            }
        }
        Ok(())
    }

    fn merged(&self) -> Result<u64> {
        let scrape = self.stack.merged()?;
        Ok(scrape.starting("http_requests_total{").map(|(_, value)| value as u64).sum())
    }

    fn until_exact(&self) -> Result<()> {
        eventually("the merged total is exact", PATIENCE, || {
            let merged = self.merged()?;
            ensure!(merged == self.requests, "merged {merged}, counted {}", self.requests);
            Ok(())
        })
    }

    fn until_scraped(&self) -> Result<()> {
        eventually("Prometheus has the exact total", PATIENCE, || {
            let totals = self.stack.query("sum(http_requests_total{job=\"metrifold\"})")?;
            ensure!(totals == [self.requests as f64], "Prometheus has {totals:?}, counted {}", self.requests);
            let up = self.stack.query("up{job=\"metrifold\"}")?;
            ensure!(up == [1.0], "up: {up:?}");
            Ok(())
        })
    }

    fn everything_is_up(&mut self) -> Result<()> {
        for service in ["app", "collector-1", "collector-2", "exporter-1", "exporter-2", "prometheus"] {
            self.stack.until_healthy(service)?;
        }
        eventually("all targets of Prometheus are up", PATIENCE, || {
            let up = self.stack.query("up")?;
            ensure!(up == [1.0; 5], "up: {up:?}");
            Ok(())
        })?;
        self.request(40)?;
        self.until_exact()?;
        self.until_scraped()
    }

    /// Nothing is lost while a service is away, and everything is there when it is back.
    fn survives(&mut self, service: &str) -> Result<()> {
        self.request(20)?;
        self.stack.kill(service)?;
        self.request(20)?;
        // The twin answers at the same address.
        if service.starts_with("exporter") {
            self.until_scraped().with_context(|| format!("{service} is away"))?;
        }
        self.stack.start(service)?;
        self.request(20)?;
        self.until_exact().with_context(|| format!("after the kill of {service}"))?;
        self.until_scraped().with_context(|| format!("after the kill of {service}"))?;
        self.worker_is_within_its_bounds(0)
    }

    fn loses_an_interval_at_most_with_the_application(&mut self) -> Result<()> {
        let mut answered = vec![(Instant::now(), self.requests)];
        while answered[0].0.elapsed() < 2 * UNPUSHED {
            self.request(1)?;
            answered.push((Instant::now(), self.requests));
        }
        self.stack.kill("app")?;
        let killed = Instant::now();
        let due =
            answered.iter().rev().find(|(at, _)| killed - *at > UNPUSHED).map_or(0, |(_, count)| *count);
        self.stack.start("app")?;
        self.stack.until_healthy("app")?;
        // Whatever the dead container had pushed is there by now: the new one's values come after it.
        let kept = self.merged()?;
        ensure!(due <= kept && kept <= self.requests, "{due} <= {kept} <= {}", self.requests);
        self.requests = kept;
        self.request(20)?;
        self.until_exact().context("after the kill of app")?;
        self.until_scraped()
    }

    fn loses_nothing_by_an_orderly_stop_of_the_application(&mut self) -> Result<()> {
        self.request(20)?;
        self.stack.stop("app")?;
        self.until_exact().context("after an orderly stop of app")?;
        self.stack.start("app")?;
        self.stack.until_healthy("app")?;
        self.request(20)?;
        self.until_exact().context("after app has come back")
    }

    fn loses_what_was_not_acknowledged_at_most_with_the_worker(&mut self) -> Result<()> {
        self.stack.kill("worker")?;
        let before = self.worker_is_within_its_bounds(0);
        let kept = self.stack.merged()?.value("worker_events_total") as u64;
        before?;
        self.stack.start("worker")?;
        eventually("the new worker is merged too", PATIENCE, || {
            let merged = self.stack.merged()?.value("worker_events_total") as u64;
            ensure!(merged > kept, "merged {merged}");
            Ok(())
        })?;
        self.worker_is_within_its_bounds(kept)
    }

    /// `kept` and what the worker knows to be acknowledged <= merged <= `kept` and what it has begun.
    fn worker_is_within_its_bounds(&self, kept: u64) -> Result<()> {
        let [_, _, acknowledged] = self.stack.worker_events()?;
        let merged = self.stack.merged()?.value("worker_events_total") as u64;
        let [started, _, _] = self.stack.worker_events()?;
        let (least, most) = (kept + acknowledged, kept + started);
        ensure!(least <= merged && merged <= most, "worker: {least} <= {merged} <= {most}");
        Ok(())
    }

    fn never_went_down_for_prometheus(&self) -> Result<()> {
        for counter in ["http_requests_total", "http_request_seconds_count", "worker_events_total"] {
            let resets = self.stack.query(&format!("sum(resets({counter}{{job=\"metrifold\"}}[30m]))"))?;
            ensure!(resets == [0.0], "{counter} went down {resets:?} times");
        }
        Ok(())
    }

    /// Every query is understood, and all but those about faults and about optional metrics have a result.
    fn panels_have_answers(&mut self) -> Result<()> {
        let may_be_empty = ["store_errors", "refused", "gunicorn_worker_memory_bytes"];
        for query in panels()? {
            eventually(&format!("a result of {query}"), PATIENCE, || {
                let results = self.stack.query(&query)?;
                let is_excused = may_be_empty.iter().any(|part| query.contains(part));
                ensure!(is_excused || !results.is_empty(), "no result");
                Ok(())
            })?;
        }
        Ok(())
    }
}
