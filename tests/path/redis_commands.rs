//! What an application costs Redis: pushes, not requests.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use metrifold_tests::{Gunicorn, GunicornSettings, Load, Redis, Server};
use tempfile::tempdir;

/// Goal: the number of Redis commands depends on time (pushes), not on requests. Method: count all commands, those in
/// scripts included, over two equally long windows, one idle and one under load.
#[test]
fn redis_commands_follow_pushes_and_not_requests() -> Result<()> {
    let directory = tempdir()?;
    let redis = Redis::start()?;
    let arguments = ["collector", "--redis-url", &redis.url(), "--namespace", "gunicorn"];
    let collector = Server::start("collector", &arguments, directory.path())?;
    let environment = vec![("METRIFOLD_TARGET".to_owned(), collector.url().to_owned())];
    let settings = GunicornSettings { workers: 4, max_requests: 0, preload: false, environment };
    let gunicorn = Gunicorn::start(directory.path(), &settings)?;
    let warm_up = Load::start(gunicorn.url(), 4);
    window();
    warm_up.finish();

    let before = redis.calls_total()?;
    window();
    let idle = redis.calls_total()? - before;
    let load = Load::start(gunicorn.url(), 4);
    let before = redis.calls_total()?;
    window();
    let loaded = redis.calls_total()? - before;
    let requests = load.finish();

    eprintln!("{idle} commands idle, {loaded} under load of {requests} requests");
    ensure!(requests >= 1_000, "only {requests} requests: the windows say nothing");
    ensure!(idle > 0, "nothing reaches Redis");
    // A window boundary may cut one push per source more or less.
    ensure!(loaded <= idle * 3 / 2, "{loaded} commands under load, {idle} without");
    Ok(())
}

/// Lets a measuring window pass.
fn window() {
    let end = Instant::now() + Duration::from_secs(6);
    while let Some(rest) = end.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero()) {
        thread::park_timeout(rest);
    }
}
