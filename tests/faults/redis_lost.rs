//! Row 3: Redis is killed and comes back with everything, with something old, or with nothing.
//!
//! Each also while a collector has just started with an empty memory.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use metrifold_tests::Redis;
use rustix::process::Signal;

use crate::{
    absence::Absence,
    stack::{Stack, TTL, on_redis},
};

/// How Redis is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    /// By SIGKILL; what it comes back with are its files.
    Kill,
    /// By FLUSHALL.
    Flush,
}

/// Loses what Redis holds, twice: with servers that remember, and while a collector has just started and remembers nothing.
/// In between and at the end everything goes on.
fn lose(settings: &[&str], loss: Loss, prepare: impl Fn(&Redis, &mut Stack) -> Result<()>) -> Result<()> {
    let (mut redis, mut stack) = on_redis(settings, |settings| settings)?;
    let number = stack.one_of_each()[0];
    stack.kill_worker(number)?;
    for is_collector_new in [false, true] {
        stack.wait_until_all_go_on()?;
        prepare(&redis, &mut stack)?;
        let began = Instant::now();
        match loss {
            Loss::Kill => redis.kill()?,
            // What is asked of it meanwhile, it does in turn.
            Loss::Flush => redis.process().signal(Signal::STOP)?,
        }
        if is_collector_new {
            // It has not read anything yet: there is nobody who would answer.
            Stack::restart(&mut stack.collectors[0])?;
        }
        match loss {
            Loss::Kill => redis.start_again()?,
            Loss::Flush => flush_and_go_on(&redis)?,
        }
        let away = Absence::refused(began.elapsed());
        stack.wait_until_all_go_on()?;
        stack.demand_view(away + Absence::RESTORED)?;
    }
    stack.finish(Absence::NONE)
}

/// FLUSHALL is what a Redis that was stopped does first when it goes on, or second, after somebody's first question.
fn flush_and_go_on(redis: &Redis) -> Result<()> {
    let mut connection = TcpStream::connect(("127.0.0.1", redis.port()))?;
    connection.write_all(b"FLUSHALL\r\n")?;
    redis.process().signal(Signal::CONT)?;
    let mut answer = [0; 5];
    connection.read_exact(&mut answer)?;
    ensure!(&answer == b"+OK\r\n", "it is flushed");
    Ok(())
}

#[test]
fn redis_killed_with_an_append_only_file_that_is_always_written() -> Result<()> {
    lose(&["--appendonly", "yes", "--appendfsync", "always"], Loss::Kill, |_, _| Ok(()))
}

/// Up to a second of acknowledged pushes may be missing from the file.
#[test]
fn redis_killed_with_an_append_only_file_that_lags() -> Result<()> {
    lose(&["--appendonly", "yes", "--appendfsync", "everysec"], Loss::Kill, |_, _| Ok(()))
}

/// Between the snapshot and the kill: pushes, deaths and folds.
#[test]
fn redis_killed_and_started_from_an_old_snapshot() -> Result<()> {
    lose(&[], Loss::Kill, |redis, stack| {
        ensure!(redis.command(&["SAVE"])?.trim() == "OK", "it saves");
        for number in stack.one_of_each() {
            stack.kill_worker(number)?;
        }
        stack.wait_until_folded()?;
        stack.wait_until_remembered()
    })
}

#[test]
fn redis_killed_and_started_empty() -> Result<()> {
    lose(&[], Loss::Kill, |_, stack| stack.wait_until_remembered())
}

#[test]
fn redis_flushed_under_load() -> Result<()> {
    lose(&[], Loss::Flush, |_, stack| stack.wait_until_remembered())
}

/// Every source looks dead then, though none could push: what servers remember is not yet enough to show.
#[test]
fn redis_away_for_longer_than_the_time_to_live_and_started_empty() -> Result<()> {
    // Enough for sources that have to wake up first.
    const LONGER: Duration = Duration::from_secs(3);
    let settle = (crate::absence::SETTLE + LONGER).as_secs();
    let (mut redis, mut stack) =
        on_redis(&[], |settings| settings.set("METRIFOLD_STORE__SETTLE", &format!("{settle}s")))?;
    for _ in 0..2 {
        stack.wait_until_all_go_on()?;
        redis.kill()?;
        let began = Instant::now();
        // The outage itself is the fault.
        thread::sleep(TTL + Duration::from_secs(1));
        stack.signal_sources(Signal::STOP)?;
        redis.start_again()?;
        let away = Absence::refused(began.elapsed());
        // Less than `store.settle`, within which every source is to be heard of.
        thread::sleep(Duration::from_millis(1500));
        stack.signal_sources(Signal::CONT)?;
        stack.wait_until_all_go_on()?;
        stack.demand_view(away + Absence::RESTORED + Absence::refused(LONGER))?;
    }
    stack.finish(Absence::NONE)
}
