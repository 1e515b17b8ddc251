//! Row 6: links that cut, delay, and stop half-way through a message, between each pair of parties.

use std::{thread, time::Duration};

use anyhow::Result;
use metrifold_tests::{Link, Mode, Redis};

use crate::stack::{Linked, REFUSED_MAX, Settings, Stack};

/// Longer than every time limit of a command or of an attempt to push.
const LONG: Duration = Duration::from_secs(3);

/// Everything that can happen to a link.
pub(crate) const MODES: [Mode; 7] = [
    Mode::Refuse,
    Mode::Delay(Duration::from_millis(300)),
    Mode::Stall,
    Mode::Mute,
    Mode::StopAfter(0),
    Mode::StopAfter(100),
    Mode::StopAfter(1000),
];

/// All of it, one after another; all links at once.
fn torment(links: &[&Link], stack: &Stack) -> Result<()> {
    for mode in MODES {
        links.iter().for_each(|link| link.set(mode));
        thread::park_timeout(LONG);
        links.iter().for_each(|link| link.set(Mode::Pass));
        stack.wait_until_all_go_on()?;
        links.iter().for_each(|link| link.cut());
    }
    stack.wait_until_all_go_on()
}

pub(crate) fn url(link: &Link) -> String {
    format!("redis://127.0.0.1:{}", link.port())
}

fn between_collectors_and(linked: Linked) -> Result<()> {
    let redis = Redis::start()?;
    let stack = Stack::start(Settings { linked: Some(linked), ..Settings::new(&redis.url()) })?;
    torment(&stack.links.iter().collect::<Vec<_>>(), &stack)?;
    stack.finish(REFUSED_MAX)
}

#[test]
fn between_workers_and_collectors() -> Result<()> {
    between_collectors_and(Linked::Workers)
}

#[test]
fn between_agent_and_collector() -> Result<()> {
    between_collectors_and(Linked::Agent)
}

/// A Redis, some of whose clients reach it by a link.
fn between_redis_and(clients: impl FnOnce(Settings, String) -> Settings, gap_max: Duration) -> Result<()> {
    let redis = Redis::start()?;
    let link = Link::to(redis.port())?;
    let stack = Stack::start(clients(Settings::new(&redis.url()), url(&link)))?;
    torment(&[&link], &stack)?;
    stack.finish(gap_max)
}

#[test]
fn between_direct_writers_and_redis() -> Result<()> {
    between_redis_and(|settings, writers_url| Settings { writers_url, ..settings }, REFUSED_MAX)
}

#[test]
fn between_collectors_and_redis() -> Result<()> {
    between_redis_and(|settings, collectors_url| Settings { collectors_url, ..settings }, REFUSED_MAX)
}

#[test]
fn between_exporters_and_redis() -> Result<()> {
    // While the link is down there is no view.
    between_redis_and(|settings, exporters_url| Settings { exporters_url, ..settings }, REFUSED_MAX + LONG)
}
