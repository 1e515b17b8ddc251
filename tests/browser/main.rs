//! The status page, as people see it: in a real Chromium, light, dark and on a phone, from nobody to thousands of
//! workers, while the store is away, and when a push was refused.

mod chromium;
mod crowd;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use metrifold_session::{Answer, Refusal};
use metrifold_tests::{Redis, Server, eventually, get};
use serde_json::Value;
use tempfile::tempdir;

use crate::{
    chromium::{Chromium, Visit},
    crowd::{Crowd, Role, push_over_grpc},
};

const FEW: u64 = 8;
const MANY: u64 = 2_000;
const HOSTS: usize = 32;
const PATIENCE: Duration = Duration::from_secs(60);

/// The status, once it is as `is_wanted` says.
fn until(server: &Server, what: &str, is_wanted: impl Fn(&Value) -> bool) -> Result<()> {
    eventually(what, PATIENCE, || {
        let status: Value = serde_json::from_str(&get(&format!("{}/api/v1/status", server.url()))?)?;
        is_wanted(&status).then_some(()).with_context(|| format!("{status:#}"))
    })
}

fn all_say(visits: &[Visit], words: &[&str]) -> Result<()> {
    for Visit { look, text, health, .. } in visits {
        for word in words {
            ensure!(text.contains(word), "{look}: {word:?} is not in {health:?} and {text}");
        }
    }
    Ok(())
}

/// Goal: whoever opens the page sees at once who is alive and what is wrong, on any screen, with any number of workers,
/// also while the store is away; by keyboard, and with nothing that axe calls serious. Method: bring one stack into each
/// state in turn, wait until its status says so, and visit. Every visit refuses errors on the console, requests to
/// anywhere else, serious violations and a page wider than its window.
#[test]
fn the_page_tells_how_things_are_in_every_state_and_look() -> Result<()> {
    let Some(chromium) = Chromium::find()? else { return Ok(()) };
    let directory = tempdir()?;
    let mut redis = Redis::start()?;
    let segments = directory.path().join("segments");
    let segments = segments.to_str().context("a path of text")?;
    let url = redis.url();
    let arguments = ["serve", "--redis-url", &url, "--namespace", "web", "--segment-dir", segments];
    let server = Server::start("serve", &arguments, directory.path())?;
    until(&server, "the store is open", |status| status["store"]["state"] == "ok")?;
    let crowd = Crowd::new(&redis.url(), "web")?;

    let visits = chromium.visit(server.url(), "nobody")?;
    let target = format!("METRIFOLD_TARGET={}", server.url());
    let redis_target = format!("METRIFOLD_TARGET={}", redis.url());
    all_say(
        &visits,
        &["No worker has pushed yet", "gunicorn", "metrifold_client::Pusher", &target, &redis_target],
    )?;

    crowd.push(0..FEW - 1, Role::Lives)?;
    crowd.push(FEW - 1..FEW, Role::Disagrees)?;
    get(&server.metrics())?;
    // Conflicts are looked for less often than workers.
    until(&server, "few are live, and disagree", |status| {
        status["sources"]["live"] == FEW && status["conflicts_total"] == 1
    })?;
    let visits = chromium.visit(server.url(), "few")?;
    all_say(&visits, &["8 workers live", "1 conflict", "jobs", "web-00.example.com", "http_requests"])?;
    ensure!(
        visits.iter().all(|visit| visit.hosts == 1 && visit.opened.as_deref() == Some("true")),
        "{visits:?}"
    );

    crowd.push(FEW..MANY, Role::Lives)?;
    crowd.push(MANY..MANY + 40, Role::Ends)?;
    get(&server.metrics())?;
    until(&server, "many are live, and the dead are folded", |status| {
        status["sources"]["live"] == MANY && status["sources"]["folded"].as_u64() >= Some(40)
    })?;
    let visits = chromium.visit(server.url(), "many")?;
    all_say(&visits, &["2,000 workers live"])?;
    ensure!(
        visits.iter().all(|visit| visit.hosts == HOSTS && visit.opened.as_deref() == Some("true")),
        "{visits:?}"
    );

    redis.kill()?;
    until(&server, "the outage is noticed", |status| status["store"]["state"] == "unreachable")?;
    let visits = chromium.visit(server.url(), "outage")?;
    all_say(&visits, &["The store cannot be read", "answered with 503", "web-00.example.com"])?;
    redis.start_again()?;
    until(&server, "the store is back", |status| status["store"]["state"] == "ok")
}

/// Goal: what passes a server and what it refuses is counted, and the page says it. Method: one worker that lives, one that
/// ends and one that is refused push through the server's own door; the history adds up to exactly that.
#[test]
fn the_page_tells_what_passed_the_server_and_what_it_refused() -> Result<()> {
    let directory = tempdir()?;
    let segments = directory.path().join("segments");
    let segments = segments.to_str().context("a path of text")?;
    let arguments = ["serve", "--namespace", "web", "--segment-dir", segments];
    let server = Server::start("serve", &arguments, directory.path())?;
    until(&server, "the store is open", |status| status["store"]["state"] == "ok")?;
    for (number, role) in [(0, Role::Lives), (1, Role::Ends)] {
        let answer = push_over_grpc(server.url(), "web", number, role)?;
        ensure!(matches!(answer, Answer::Ok { .. }), "{answer:?}");
    }
    let answer = push_over_grpc(server.url(), "web", 2, Role::Rambles)?;
    ensure!(answer == Answer::Refused(Refusal::TooLong), "{answer:?}");
    for _ in 0..3 {
        get(&server.metrics())?;
    }

    // A hello and values of each of two, and one that was refused at once.
    let expected = [
        ("born", 2),
        ("died", 1),
        ("folded", 1),
        ("pushes", 5),
        ("pushes_refused", 1),
        ("scrapes", 3),
        ("scrapes_failed", 0),
    ];
    eventually("the history has it all", PATIENCE, || {
        let history: Value = serde_json::from_str(&get(&format!("{}/api/v1/history", server.url()))?)?;
        let sum =
            |column: &str| -> Option<u64> { history[column].as_array()?.iter().map(Value::as_u64).sum() };
        ensure!(expected.iter().all(|(column, total)| sum(column) == Some(*total)), "{history}");
        ensure!(history["live"].as_array().and_then(|live| live.last()) == Some(&1.into()), "{history}");
        Ok(())
    })?;

    let Some(chromium) = Chromium::find()? else { return Ok(()) };
    let visits = chromium.visit(server.url(), "refused")?;
    all_say(
        &visits,
        &[
            "1 worker live, with 1 kind of refused push",
            "died, 1 folded",
            "1 push was refused",
            &format!("{}.", Refusal::TooLong),
            "Last from process 4002 on web-00.example.com",
            "5 since the start, 1 refused",
            "3 answered, 0 failed",
        ],
    )
}
