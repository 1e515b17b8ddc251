//! Row 8: Redis is full.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use metrifold_tests::{Redis, Scrape, Server, eventually, get};
use rustix::process::Signal;

use crate::{
    absence::Absence,
    stack::{AMPLE, Stack, TTL, on_redis},
};

/// Pushes are refused and reported, folding goes on, also after a failure, and once there is room again nothing was lost.
#[test]
fn a_full_redis_refuses_pushes_but_not_folds_and_loses_nothing() -> Result<()> {
    let (redis, mut stack) = on_redis(&["--maxmemory-policy", "noeviction"], |settings| settings)?;
    stack.wait_until_all_go_on()?;
    let folded = stack.sources("folded")?;
    set(&redis, "maxmemory", "1")?;
    eventually("a collector reports it", AMPLE, || {
        ensure!(store_errors(&stack.collectors[0], "push")? > 0.0, "no push has failed");
        is_not_ready(&stack.collectors[0], "maxmemory")
    })?;
    stack.demand_view(Absence::NONE)?;
    let hanging = hang(&redis, &stack)?;
    // Nobody can push, so in time everybody is past the time to live, and is folded.
    eventually("folding goes on", AMPLE + TTL, || {
        let now = stack.sources("folded")?;
        ensure!(now >= folded + stack.workers.len() as f64, "{now} folded after {folded}");
        Ok(())
    })?;
    stack.demand_view(hanging)?;
    set(&redis, "maxmemory", "0")?;
    stack.wait_until_all_go_on()?;
    let number = stack.one_of_each()[0];
    stack.kill_worker(number)?;
    stack.wait_until_folded()?;
    is_refused_while_it_evicts(&redis, &stack)?;
    stack.finish(Absence::NONE)
}

/// Redis answers nobody until a pass of every server has failed; returns for how long there may be no view.
fn hang(redis: &Redis, stack: &Stack) -> Result<Absence> {
    let began = Instant::now();
    redis.process().signal(Signal::STOP)?;
    for server in stack.collectors.iter().chain(&stack.exporters) {
        eventually("a pass over the store fails", AMPLE, || {
            ensure!(server.log().contains("the store cannot be tended"), "not yet: {}", server.log());
            Ok(())
        })?;
    }
    redis.process().signal(Signal::CONT)?;
    Ok(Absence::refused(began.elapsed()) + Absence::RECONNECTED)
}

/// Whoever lets Redis evict while everything runs is told by every server that it is not ready, and why. What is there
/// goes on: nothing is gone yet, and to stop would not bring the policy back.
fn is_refused_while_it_evicts(redis: &Redis, stack: &Stack) -> Result<()> {
    set(redis, "maxmemory-policy", "allkeys-lru")?;
    for server in stack.collectors.iter().chain(&stack.exporters) {
        eventually("it is reported", AMPLE, || is_not_ready(server, "allkeys-lru"))?;
    }
    stack.wait_until_all_go_on()?;
    set(redis, "maxmemory-policy", "noeviction")?;
    for server in stack.collectors.iter().chain(&stack.exporters) {
        eventually("it is ready again", AMPLE, || get(&format!("{}/-/ready", server.url())))?;
    }
    Ok(())
}

fn set(redis: &Redis, name: &str, value: &str) -> Result<()> {
    let answer = redis.command(&["CONFIG", "SET", name, value])?;
    ensure!(answer == "OK", "{name} {value}: {answer}");
    Ok(())
}

fn store_errors(server: &Server, operation: &str) -> Result<f64> {
    let own = Scrape::parse(&get(&server.own_metrics())?)?;
    let prefix = format!("metrifold_store_errors_total{{operation=\"{operation}\"");
    Ok(own.starting(&prefix).map(|(_, count)| count).sum())
}

fn is_not_ready(server: &Server, reason: &str) -> Result<()> {
    let ready = get(&format!("{}/-/ready", server.url()));
    let given = ready.err().context("it says that it is ready")?.to_string();
    ensure!(given.contains(reason), "{given}");
    Ok(())
}
