//! Row 6: links that cut, delay, and stop half-way through a message, between each pair of parties.

use std::{thread, time::Duration};

use anyhow::{Result, ensure};
use metrifold_tests::{Cluster, Link, Mode, Redis, Sentinel};

use crate::{
    absence::Absence,
    cluster::SHARDS,
    stack::{Linked, Settings, Stack},
};

/// The time to live of a source here: less than trouble lasts.
const TTL: Duration = Duration::from_secs(2);
/// Longer than every time limit of a command or of an attempt to push; a source that cannot push is folded meanwhile.
const LONG: Duration = Duration::from_secs(4);

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

pub(crate) fn url(link: &Link) -> String {
    format!("redis://127.0.0.1:{}", link.port())
}

fn settings(redis_url: &str) -> Settings {
    Settings::new(redis_url).set("METRIFOLD_WORKERS__TTL", &format!("{}s", TTL.as_secs()))
}

/// All of it between every two of these parties, one after another; at the same time something different on each.
/// It must have made itself felt every time.
fn torment(stack: &Stack, pairs: &[Vec<&Link>], absence: Absence) -> Result<()> {
    for round in 0..MODES.len() {
        let modes = || MODES.iter().cycle().skip(round);
        for (links, mode) in pairs.iter().zip(modes()) {
            links.iter().for_each(|link| link.set(*mode));
        }
        thread::park_timeout(LONG);
        for (number, (links, mode)) in pairs.iter().zip(modes()).enumerate() {
            let felt: usize = links.iter().map(|link| link.felt()).sum();
            ensure!(felt > 0, "{mode:?} between the parties of number {number} was not felt");
            links.iter().for_each(|link| link.set(Mode::Pass));
        }
        stack.wait_until_all_go_on()?;
        stack.demand_view(absence)?;
        pairs.iter().flatten().for_each(|link| link.cut());
    }
    stack.wait_until_all_go_on()
}

/// None of that concerns the view.
#[test]
fn between_those_that_push_and_collectors_and_redis() -> Result<()> {
    let redis = Redis::start()?;
    let writers = Link::to(redis.port())?;
    let linked = vec![Linked::Workers, Linked::Agent];
    let stack = Stack::start(Settings { linked, writers_url: url(&writers), ..settings(&redis.url()) })?;
    let pairs: Vec<_> = stack.links.iter().chain([&writers]).map(|link| vec![link]).collect();
    torment(&stack, &pairs, Absence::NONE)?;
    stack.finish(Absence::NONE)
}

/// The view goes on, though who asks for it may not hear of it.
#[test]
fn between_servers_and_redis_and_between_scraper_and_exporters() -> Result<()> {
    let redis = Redis::start()?;
    let (collectors, agent) = (Link::to(redis.port())?, Link::to(redis.port())?);
    let agent_url = Some(url(&agent));
    let linked = vec![Linked::Scraper];
    let collectors_url = url(&collectors);
    let stack = Stack::start(Settings { linked, collectors_url, agent_url, ..settings(&redis.url()) })?;
    let pairs = [vec![&collectors], vec![&agent], stack.page_links.iter().collect()];
    let outages = stack.outages();
    torment(&stack, &pairs, Absence::unanswered(LONG))?;
    drop(outages);
    stack.finish(Absence::NONE)
}

/// While that link is down there is no view.
#[test]
fn between_exporters_and_redis() -> Result<()> {
    let redis = Redis::start()?;
    let exporters = Link::to(redis.port())?;
    let stack = Stack::start(Settings { exporters_url: url(&exporters), ..settings(&redis.url()) })?;
    torment(&stack, &[vec![&exporters]], Absence::refused(LONG) + Absence::RECONNECTED)?;
    stack.finish(Absence::NONE)
}

/// Also those to the sentinels, who are asked where the master is.
#[test]
fn between_everybody_and_redis_behind_sentinel() -> Result<()> {
    let sentinel = Sentinel::linked()?;
    let stack = Stack::start(settings(&sentinel.url()))?;
    let all = [sentinel.links().iter().collect()];
    torment(&stack, &all, Absence::refused(LONG) + Absence::RECONNECTED)?;
    stack.finish(Absence::NONE)
}

#[test]
fn between_everybody_and_a_cluster() -> Result<()> {
    let cluster = Cluster::linked()?;
    let settings = settings(&cluster.url()).set("METRIFOLD_REDIS__SHARDS", &SHARDS.to_string());
    let stack = Stack::start(settings)?;
    let all = [cluster.links().iter().collect()];
    torment(&stack, &all, Absence::refused(LONG) + Absence::RECONNECTED)?;
    stack.finish(Absence::NONE)
}
