//! Row 2: a pusher that is stopped for longer than its time to live, and comes back.

use std::{thread, time::Duration};

use anyhow::{Result, ensure};
use metrifold_tests::eventually;
use rustix::process::Signal;

use crate::{
    absence::Absence,
    stack::{AMPLE, Settings, Stack, TTL, Way, on_redis},
};

/// Longer than an agent's pushes are apart (200 ms), and the answer to one takes.
const PUSH: Duration = Duration::from_secs(1);

/// Stopped, taken for dead, folded, and not dead after all: counted once. Of its workers the agent answers for their life,
/// so all of them go with it.
#[test]
fn a_pusher_that_was_folded_comes_back_and_is_counted_once() -> Result<()> {
    let (_redis, mut stack) = on_redis(&[], |settings| settings)?;
    for _ in 0..2 {
        let paused = pause(&mut stack)?;
        eventually("the paused are folded", AMPLE + TTL, || {
            let (live, folded) = (stack.sources("live")?, stack.sources("folded")?);
            ensure!(folded == paused.sources as f64, "{folded} folded, {live} live");
            Ok(())
        })?;
        wake(&mut stack, &paused)?;
    }
    stack.finish(Absence::NONE)
}

/// Stopped, folded, and trimmed: its return is a new beginning above what the archive has. Bound touched: a source that is
/// cut off for longer than the tombstone lifetime may lose one push; it is never counted twice.
#[test]
fn a_pusher_that_was_forgotten_comes_back_and_is_never_counted_twice() -> Result<()> {
    let short = |settings: Settings| {
        settings
            .set("METRIFOLD_WORKERS__TOMBSTONE_LIFETIME", "5s")
            .set("METRIFOLD_WORKERS__GAUGE_RETENTION", "1s")
    };
    let (_redis, mut stack) = on_redis(&[], short)?;
    let before = finished_of_agent(&stack)?;
    thread::park_timeout(PUSH);
    let paused = pause(&mut stack)?;
    // Each may lose the push that was under way: of a worker that was stopped no more than what was not acknowledged, of
    // one behind the agent no more than what it had counted since the push before.
    let of_agent = finished_of_agent(&stack)? - before;
    let mut of_workers = 0;
    for number in &paused.workers {
        let [_, finished, acknowledged] = stack.workers[*number].words()?;
        of_workers += finished - acknowledged;
    }
    stack.allow_loss(of_workers + of_agent);
    let live_left = (stack.workers.len() - paused.sources) as f64;
    eventually("the paused are forgotten", AMPLE + TTL, || {
        let (live, dead, folded) = (stack.sources("live")?, stack.sources("dead")?, stack.sources("folded")?);
        ensure!(live == live_left && dead + folded == 0.0, "{live} live, {dead} dead, {folded} folded");
        Ok(())
    })?;
    wake(&mut stack, &paused)?;
    stack.finish(Absence::NONE)
}

/// Who does not push any more.
struct Paused {
    workers: Vec<usize>,
    /// Those of the agent included.
    sources: usize,
}

/// Stops a worker of each kind that pushes for itself, and the agent.
fn pause(stack: &mut Stack) -> Result<Paused> {
    let workers: Vec<_> = stack.one_of_each().into_iter().take(3).collect();
    for number in &workers {
        stack.workers[*number].signal(Signal::STOP)?;
    }
    stack.agent.process().signal(Signal::STOP)?;
    let of_agent = stack.workers.iter().filter(|worker| worker.way == Way::Agent).count();
    Ok(Paused { sources: workers.len() + of_agent, workers })
}

fn wake(stack: &mut Stack, paused: &Paused) -> Result<()> {
    stack.agent.process().signal(Signal::CONT)?;
    for number in &paused.workers {
        stack.workers[*number].signal(Signal::CONT)?;
    }
    paused.workers.iter().try_for_each(|number| stack.workers[*number].wait_for_acknowledged(100))?;
    stack.wait_until_folded()?;
    stack.wait_until_all_go_on()
}

/// Events of the workers behind the agent.
fn finished_of_agent(stack: &Stack) -> Result<u64> {
    let of_agent = stack.workers.iter().filter(|worker| worker.way == Way::Agent);
    of_agent.map(|worker| Ok(worker.words()?[1])).sum()
}
