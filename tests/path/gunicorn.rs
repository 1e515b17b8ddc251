//! gunicorn workers that run an ordinary prometheus_client application, killed and recycled under load.

use std::{path::Path, time::Duration};

use anyhow::{Result, ensure};
use metrifold_tests::{
    Gunicorn, GunicornSettings, Ledger, Load, Page, Redis, Scrape, Server, Watch, eventually,
};
use tempfile::tempdir;

use crate::truth::assert_exact;

/// Kills under load; with `max_requests` on top, about as many workers end by themselves.
const KILLS: u64 = 5;

fn settings(preload: bool, environment: &[(&str, &str)]) -> GunicornSettings {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    GunicornSettings { workers: 4, max_requests: 700, preload, environment: environment.collect() }
}

/// Loads the application while workers are killed and recycled; none of the watched pages may ever go down. They are
/// views of different stores, so each is held to its own past.
fn drive(gunicorn: &Gunicorn, watched: &[String]) -> Result<()> {
    for page in watched {
        // A store that nobody has opened before is sealed, and then settles, for some seconds.
        eventually("the page is shown", Duration::from_secs(20), || Scrape::of(page))?;
    }
    let watches: Vec<_> = watched.iter().map(|page| Watch::start(&[Page::new(page)])).collect();
    kill_under_load(gunicorn, || gunicorn.kill_worker())?;
    for watch in watches {
        watch.finish(10)?;
    }
    Ok(())
}

/// Kills something, several times, while requests are answered.
fn kill_under_load(gunicorn: &Gunicorn, kill: impl Fn() -> Result<()>) -> Result<()> {
    let load = Load::start(gunicorn.url(), 4);
    for number in 1..=KILLS {
        let target = number * 600;
        eventually("requests are answered", Duration::from_secs(60), || {
            ensure!(load.answered() >= target, "{} of {target} answered", load.answered());
            Ok(())
        })?;
        kill()?;
    }
    load.finish();
    Ok(())
}

/// Every gauge mode shows what its name says, of workers that set their gauges to their pid.
pub(crate) fn assert_gauges(scrape: &Scrape, live: &[u32]) -> Result<()> {
    for mode in ["all", "liveall"] {
        let prefix = format!("app_{mode}_level{{");
        for (series, value) in scrape.starting(&prefix) {
            ensure!(series.contains(&format!("pid=\"{value}\"")) || value == 0.0, "{series} {value}");
        }
    }
    let live_set: Vec<f64> =
        scrape.starting("app_liveall_level{").map(|(_, value)| value).filter(|v| *v > 0.0).collect();
    ensure!(
        live_set.iter().all(|pid| live.iter().any(|alive| f64::from(*alive) == *pid)),
        "{live_set:?} {live:?}"
    );
    ensure!(scrape.value("app_livesum_level") == live_set.iter().sum::<f64>(), "livesum of {live_set:?}");
    let highest = live_set.iter().copied().fold(0.0, f64::max);
    ensure!(scrape.value("app_livemax_level") == highest, "livemax of {live_set:?}");
    ensure!(scrape.value("app_max_level") >= highest, "max below livemax");
    ensure!(scrape.value("app_sum_level") >= scrape.value("app_livesum_level"), "sum below livesum");
    ensure!(scrape.value("app_min_level") <= scrape.value("app_livemin_level"), "min above livemin");
    for mode in ["mostrecent", "livemostrecent"] {
        ensure!(scrape.value(&format!("app_{mode}_level")) > 0.0, "{mode} was set");
    }
    Ok(())
}

fn assert_all(page: &str, gunicorn: &Gunicorn, directory: &Path) -> Result<()> {
    let ledger = Ledger::new(&directory.join("ledger"));
    assert_exact(page, &ledger, KILLS)?;
    eventually("the gauges are those of the live workers", Duration::from_secs(20), || {
        assert_gauges(&Scrape::of(page)?, &gunicorn.workers()?)
    })
}

fn embedded(preload: bool) -> Result<()> {
    let directory = tempdir()?;
    let gunicorn = Gunicorn::start(directory.path(), &settings(preload, &[]))?;
    drive(&gunicorn, &[gunicorn.metrics()])?;
    assert_all(&gunicorn.metrics(), &gunicorn, directory.path())
}

/// Goal: the local server that the master started shows exact, monotone totals. Method: SIGKILL and `max_requests`
/// under load, compared with the application's own ledger.
#[test]
fn gunicorn_on_the_embedded_store_is_exact_and_monotone() -> Result<()> {
    embedded(false)
}

/// The same with the application loaded in the master, where its metrics are made before the fork.
#[test]
fn gunicorn_with_preload_is_exact_and_monotone() -> Result<()> {
    embedded(true)
}

/// Goal: the same through every role as a process of its own: gunicorn -> agent -> collector -> Redis -> exporter; also
/// after all workers have ended and are folded.
#[test]
fn gunicorn_through_collector_and_redis_is_exact_and_monotone() -> Result<()> {
    let directory = tempdir()?;
    let redis = Redis::start()?;
    let url = redis.url();
    let collector = Server::start("collector", &["collector", "--redis-url", &url], directory.path())?;
    let exporter = Server::start("exporter", &["exporter", "--redis-url", &url], directory.path())?;
    let environment = [("METRIFOLD_TARGET", collector.url())];
    let mut gunicorn = Gunicorn::start(directory.path(), &settings(false, &environment))?;
    // The local server and the central exporter both have the whole truth here.
    drive(&gunicorn, &[exporter.metrics(), gunicorn.metrics()])?;
    assert_all(&exporter.metrics(), &gunicorn, directory.path())?;
    let watch = Watch::start(&[exporter.page()]);
    gunicorn.stop()?;
    eventually("no live worker is left", Duration::from_secs(30), || {
        let scrape = Scrape::of(&exporter.metrics())?;
        ensure!(scrape.starting("app_liveall_level{").count() == 0, "live gauges remain");
        Ok(())
    })?;
    assert_exact(&exporter.metrics(), &Ledger::new(&directory.path().join("ledger")), KILLS)?;
    watch.finish(1)?;
    Ok(())
}

/// The guide's own variables for Redis: the local server pushes straight to it, with no collector on the path, and a
/// central exporter shows the namespace.
#[test]
fn gunicorn_with_the_guides_redis_variables_is_exact_and_monotone() -> Result<()> {
    let directory = tempdir()?;
    let redis = Redis::start()?;
    let port = redis.port().to_string();
    let environment = [("REDIS_ENABLED", "true"), ("REDIS_HOST", "127.0.0.1"), ("REDIS_PORT", &port)];
    let exporter = Server::with("exporter", &["exporter"], &environment, directory.path())?;
    let gunicorn = Gunicorn::start(directory.path(), &settings(false, &environment))?;
    drive(&gunicorn, &[exporter.metrics()])?;
    assert_all(&exporter.metrics(), &gunicorn, directory.path())
}

/// Goal: the death of the local server costs nothing that a worker recorded. Method: SIGKILL it again and again under
/// load while it pushes to Redis; the next worker that gunicorn makes brings another one, which goes on from the segments.
#[test]
fn gunicorn_is_exact_and_monotone_when_its_local_server_is_killed() -> Result<()> {
    let directory = tempdir()?;
    let redis = Redis::start()?;
    let url = redis.url();
    let exporter = Server::start("exporter", &["exporter", "--redis-url", &url], directory.path())?;
    let gunicorn = Gunicorn::start(directory.path(), &settings(false, &[("METRIFOLD_TARGET", &url)]))?;
    let page = exporter.metrics();
    eventually("the page is shown", Duration::from_secs(20), || Scrape::of(&page))?;
    let watch = Watch::start(&[exporter.page()]);
    kill_under_load(&gunicorn, || {
        let server = gunicorn.local_server()?;
        kill_process(server)?;
        gunicorn.kill_worker()?;
        eventually("another local server has come", Duration::from_secs(20), || {
            ensure!(gunicorn.local_server()? != server, "still the dead one's pid");
            Ok(())
        })
    })?;
    watch.finish(10)?;
    assert_all(&page, &gunicorn, directory.path())
}

/// Goal: the page of a gunicorn's own server never goes down by the server's death either. Method: as before, with nothing
/// but that server, which has the sums of workers that have ended beside their segments; in order it leaves nothing behind.
#[test]
fn a_local_server_that_is_killed_has_lost_nothing_of_workers_that_had_ended() -> Result<()> {
    let directory = tempdir()?;
    let mut gunicorn =
        Gunicorn::start(directory.path(), &settings(false, &[("METRIFOLD_AGENT__LINGER", "1s")]))?;
    let page = gunicorn.metrics();
    eventually("the page is shown", Duration::from_secs(20), || Scrape::of(&page))?;
    let watched = Page::new(&page);
    let watch = Watch::start(std::slice::from_ref(&watched));
    kill_under_load(&gunicorn, || {
        gunicorn.kill_worker()?;
        let server = gunicorn.local_server()?;
        let outage = watched.outage();
        kill_process(server)?;
        eventually("another local server has come", Duration::from_secs(20), || {
            ensure!(gunicorn.local_server()? != server, "still the dead one's pid");
            Scrape::of(&page)
        })?;
        drop(outage);
        Ok(())
    })?;
    watch.finish(10)?;
    assert_all(&page, &gunicorn, directory.path())?;
    gunicorn.stop()?;
    let store = directory.path().join("segments/store");
    eventually("the server has ended and left nothing", Duration::from_secs(20), || {
        ensure!(!store.exists(), "{} is there", store.display());
        Ok(())
    })
}

fn kill_process(pid: u32) -> Result<()> {
    metrifold_tests::kill(pid, rustix::process::Signal::KILL)
}
