//! Row 3: Redis is killed and comes back with everything, with something old, or with nothing.
//!
//! Each also while a collector has just started with an empty memory.

use std::{thread, time::Duration};

use anyhow::{Result, ensure};
use metrifold_tests::Redis;
use rustix::process::Signal;

use crate::stack::{REFUSED_MAX, Stack, TTL, on_redis};

/// Loses Redis' contents in some way, twice: with servers that remember, and with a collector that has just started.
/// In between and at the end everything goes on.
fn lose(settings: &[&str], lose: impl Fn(&mut Redis, &mut Stack) -> Result<()>) -> Result<()> {
    let (mut redis, mut stack) = on_redis(settings, |settings| settings)?;
    let number = stack.one_of_each()[0];
    stack.kill_worker(number)?;
    stack.wait_until_all_go_on()?;
    lose(&mut redis, &mut stack)?;
    stack.wait_until_all_go_on()?;
    Stack::restart(&mut stack.collectors[0])?;
    lose(&mut redis, &mut stack)?;
    stack.wait_until_all_go_on()?;
    stack.finish(REFUSED_MAX)
}

fn restart(redis: &mut Redis) -> Result<()> {
    redis.kill()?;
    redis.start_again()
}

#[test]
fn redis_killed_with_an_append_only_file_that_is_always_written() -> Result<()> {
    lose(&["--appendonly", "yes", "--appendfsync", "always"], |redis, _| restart(redis))
}

/// Up to a second of acknowledged pushes may be missing from the file.
#[test]
fn redis_killed_with_an_append_only_file_that_lags() -> Result<()> {
    lose(&["--appendonly", "yes", "--appendfsync", "everysec"], |redis, _| restart(redis))
}

/// Between the snapshot and the kill: pushes, deaths and folds.
#[test]
fn redis_killed_and_started_from_an_old_snapshot() -> Result<()> {
    lose(&[], |redis, stack| {
        ensure!(redis.command(&["SAVE"])?.trim() == "OK", "it saves");
        for number in stack.one_of_each() {
            stack.kill_worker(number)?;
        }
        stack.wait_until_folded()?;
        stack.wait_until_remembered()?;
        restart(redis)
    })
}

#[test]
fn redis_killed_and_started_empty() -> Result<()> {
    lose(&[], |redis, stack| {
        stack.wait_until_remembered()?;
        restart(redis)
    })
}

#[test]
fn redis_flushed_under_load() -> Result<()> {
    lose(&[], |redis, stack| {
        stack.wait_until_remembered()?;
        ensure!(redis.command(&["FLUSHALL"])?.trim() == "OK", "it is flushed");
        Ok(())
    })
}

/// Every source looks dead then, though none could push: what servers remember is not yet enough to show.
#[test]
fn redis_away_for_longer_than_the_time_to_live_and_started_empty() -> Result<()> {
    // Enough for sources that have to wake up first.
    let (mut redis, mut stack) = on_redis(&[], |settings| settings.set("METRIFOLD_STORE__SETTLE", "6s"))?;
    for _ in 0..2 {
        stack.wait_until_all_go_on()?;
        redis.kill()?;
        // The outage itself is the fault.
        thread::sleep(TTL + Duration::from_secs(1));
        stack.signal_sources(Signal::STOP)?;
        redis.start_again()?;
        // Less than `store.settle`, within which every source is to be heard of.
        thread::sleep(Duration::from_millis(1500));
        stack.signal_sources(Signal::CONT)?;
    }
    stack.wait_until_all_go_on()?;
    stack.finish(TTL + REFUSED_MAX)
}
