//! Row 6: links that cut, delay, and stop half-way through a message, between each pair of parties.

use std::{thread, time::Duration};

use anyhow::Result;
use metrifold_tests::{Link, Mode, Redis};

use crate::stack::{REFUSED_MAX, Settings, Stack};

/// Longer than every time limit of a command or of an attempt to push.
const LONG: Duration = Duration::from_secs(3);

/// Everything that can happen to a link, one after another; all links at once.
fn torment(links: &[&Link], stack: &Stack) -> Result<()> {
    for mode in [
        Mode::Refuse,
        Mode::Delay(Duration::from_millis(300)),
        Mode::Stall,
        Mode::Mute,
        Mode::StopAfter(0),
        Mode::StopAfter(100),
        Mode::StopAfter(1000),
    ] {
        links.iter().for_each(|link| link.set(mode));
        thread::park_timeout(LONG);
        links.iter().for_each(|link| link.set(Mode::Pass));
        stack.wait_until_all_go_on()?;
        links.iter().for_each(|link| link.cut());
    }
    stack.wait_until_all_go_on()
}

fn url(link: &Link) -> String {
    format!("redis://127.0.0.1:{}", link.port())
}

#[test]
fn between_workers_or_agent_and_collectors() -> Result<()> {
    let redis = Redis::start()?;
    let stack = Stack::start(Settings { links_collectors: true, ..Settings::new(&redis.url()) })?;
    torment(&stack.links.iter().collect::<Vec<_>>(), &stack)?;
    stack.finish(REFUSED_MAX)
}

#[test]
fn between_direct_writers_and_redis() -> Result<()> {
    let redis = Redis::start()?;
    let link = Link::to(redis.port())?;
    let stack = Stack::start(Settings { writers_url: url(&link), ..Settings::new(&redis.url()) })?;
    torment(&[&link], &stack)?;
    stack.finish(REFUSED_MAX)
}

#[test]
fn between_collectors_or_exporters_and_redis() -> Result<()> {
    let redis = Redis::start()?;
    let link = Link::to(redis.port())?;
    let stack = Stack::start(Settings { writers_url: redis.url(), ..Settings::new(&url(&link)) })?;
    torment(&[&link], &stack)?;
    // While the link is down there is no view.
    stack.finish(REFUSED_MAX + LONG)
}
