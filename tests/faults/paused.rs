//! Row 2: a pusher that is stopped for longer than its time to live, and comes back.

use anyhow::{Result, ensure};
use metrifold_tests::eventually;
use rustix::process::Signal;

use crate::stack::{AMPLE, REFUSED_MAX, Settings, Stack, TTL, on_redis};

/// Stopped, taken for dead, folded, and not dead after all: counted once.
#[test]
fn a_pusher_that_was_folded_comes_back_and_is_counted_once() -> Result<()> {
    let (_redis, stack) = on_redis(&[], |settings| settings)?;
    for _ in 0..2 {
        // Of the agent's workers the agent answers for their life, so these are not folded.
        let paused: Vec<_> = stack.one_of_each().into_iter().take(3).collect();
        for number in &paused {
            stack.workers[*number].signal(Signal::STOP)?;
        }
        eventually("the paused are folded", AMPLE + TTL, || {
            let folded = stack.sources("folded")?;
            ensure!(folded == 3.0, "{folded} folded, {} live", stack.sources("live")?);
            Ok(())
        })?;
        wake(&stack, &paused)?;
        stack.wait_until_all_go_on()?;
    }
    stack.finish(REFUSED_MAX)
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
    let paused: Vec<_> = stack.one_of_each().into_iter().take(3).collect();
    let mut unacknowledged = 0;
    for number in &paused {
        let worker = &stack.workers[*number];
        worker.signal(Signal::STOP)?;
        let [_, finished, acknowledged] = worker.words()?;
        unacknowledged += finished - acknowledged;
    }
    eventually("the paused are forgotten", AMPLE + TTL, || {
        let (live, dead, folded) = (stack.sources("live")?, stack.sources("dead")?, stack.sources("folded")?);
        ensure!(live == 17.0 && dead + folded == 0.0, "{live} live, {dead} dead, {folded} folded");
        Ok(())
    })?;
    wake(&stack, &paused)?;
    // Each may lose the push that was under way, and a push is no more than what was not acknowledged when it stopped.
    stack.allow_loss(unacknowledged);
    stack.wait_until_all_go_on()?;
    stack.finish(REFUSED_MAX)
}

fn wake(stack: &Stack, paused: &[usize]) -> Result<()> {
    for number in paused {
        stack.workers[*number].signal(Signal::CONT)?;
    }
    paused.iter().try_for_each(|number| stack.workers[*number].wait_for_acknowledged(100))
}
