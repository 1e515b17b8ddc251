//! A sidecar whose totals are kept in a Redis: files go only when it has what they hold.

use anyhow::{Result, ensure};
use metrifold_tests::{Redis, Scrape, Server, eventually};

use super::{
    PATIENCE,
    application::{Application, KILLS},
    site::Site,
};
use crate::{gunicorn::assert_gauges, truth::assert_exact};

const CLEAN_UP: (&str, &str) = ("CLEANUP_DB_FILES", "true");

/// Goal: `metrifold agent --multiproc-dir DIR --to URL` is exact and monotone on every page on the way, and takes no file away
/// that the collector does not have. Method: SIGKILL of workers, and of agent and collector together, under load; then a
/// worker that ends while the collector is away; then the page of a Redis whose servers were all killed after the last
/// file had gone.
#[test]
fn gunicorn_through_an_agent_and_a_collector_on_redis_is_exact_and_monotone() -> Result<()> {
    let redis = Redis::start()?;
    let logs = tempfile::tempdir()?;
    let store = ["--redis-url", &redis.url()];
    let mut collector = Server::start("collector", &[&["collector"], &store[..]].concat(), logs.path())?;
    let mut exporter = Server::start("exporter", &[&["exporter"], &store[..]].concat(), logs.path())?;
    let mut site = Site::agent(collector.url(), &[CLEAN_UP])?;
    let application = Application::gunicorn(&site, "app:app")?;
    let (pages, ledger) = ([exporter.metrics(), site.sidecar.metrics()], site.ledger());
    application.drive_through(&pages, &ledger, || {
        collector.kill()?;
        site.kill_sidecar()?;
        collector.start_again()
    })?;
    eventually("the gauges are those of the live workers", PATIENCE, || {
        assert_gauges(&Scrape::of(&exporter.metrics())?, &application.workers()?)
    })?;
    site.wait_until_cleaned_up(&application.workers()?)?;

    collector.kill()?;
    let victim = application.workers()?[0];
    let files = site.names_of(victim)?.len() as f64;
    application.kill_worker()?;
    site.wait_until_own("metrifold_multiproc_files{state=\"dead\"}", files)?;
    site.let_the_sidecar_look()?;
    ensure!(site.names_of(victim)?.len() as f64 == files, "files went that the collector does not have");
    collector.start_again()?;
    application.stop()?;
    site.wait_until_cleaned_up(&[])?;

    site.sidecar.kill()?;
    collector.kill()?;
    exporter.kill()?;
    exporter.start_again()?;
    assert_exact(&exporter.metrics(), &ledger, KILLS + 1)?;
    Ok(())
}

/// Goal: with Redis as its store, a sidecar that cleans up is exact and monotone, and needs nothing of its directory any more
/// when the files have gone. Method: SIGKILL of workers and of the sidecar under load; then another sidecar, of another
/// directory, on the same Redis.
#[test]
fn gunicorn_beside_a_sidecar_on_redis_that_cleans_up_is_exact_and_monotone() -> Result<()> {
    let redis = Redis::start()?;
    let start = || Site::serve(&["--redis-url", &redis.url()], &[CLEAN_UP]);
    let mut site = start()?;
    let application = Application::gunicorn(&site, "app:app")?;
    application.drive(&mut site)?;
    site.wait_until_cleaned_up(&application.workers()?)?;
    application.stop()?;
    site.wait_until_cleaned_up(&[])?;
    site.sidecar.kill()?;
    let other = start()?;
    assert_exact(&other.sidecar.metrics(), &site.ledger(), KILLS)?;
    Ok(())
}
