//! Row 1: SIGKILL of workers, of a collector, of the agent, of an exporter.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::{
    absence::Absence,
    stack::{EVENTS_PER_SECOND, Stack, on_redis},
};

/// What a worker may have counted and not brought into safety: two intervals of 200 ms (the push that is under way, and
/// what comes after it), what its ledger lags (100 ms), and as much again for two slow cores.
const UNPUSHED: Duration = Duration::from_secs(1);

/// Bound touched: a process that pushes or gathers for itself and is SIGKILLed loses what was not yet acknowledged, which
/// is no more than its last unpushed interval.
#[test]
fn workers_of_every_kind_may_be_killed() -> Result<()> {
    let (_redis, mut stack) = on_redis(&[], |settings| settings)?;
    for _ in 0..2 {
        for number in stack.one_of_each() {
            let [started, _, acknowledged] = stack.kill_worker(number)?;
            let in_doubt = started - acknowledged;
            let most = EVENTS_PER_SECOND * UNPUSHED.as_secs();
            ensure!(in_doubt <= most, "{in_doubt} of {started} events may be lost, and {most} at most");
        }
        stack.wait_until_all_go_on()?;
    }
    stack.finish(Absence::NONE)
}

#[test]
fn a_collector_an_agent_and_an_exporter_may_be_killed() -> Result<()> {
    let (_redis, mut stack) = on_redis(&[], |settings| settings)?;
    for number in 0..2 {
        Stack::restart(&mut stack.collectors[number])?;
        stack.wait_until_all_go_on()?;
    }
    Stack::restart(&mut stack.agent)?;
    stack.wait_until_all_go_on()?;
    stack.demand_view(Absence::NONE)?;
    Stack::restart(&mut stack.exporters[1])?;
    stack.wait_until_all_go_on()?;
    stack.finish(Absence::RESTARTED)
}

/// All servers at once: whoever comes first finds everything in Redis. Exporters that have read it in different steps say
/// the same of it, byte for byte.
#[test]
fn all_servers_may_be_killed_at_once() -> Result<()> {
    let (_redis, mut stack) = on_redis(&[], |settings| settings)?;
    let Stack { collectors, exporters, agent, .. } = &mut stack;
    let mut all: Vec<_> = collectors.iter_mut().chain(exporters).chain([agent]).collect();
    for server in &mut all {
        server.kill()?;
    }
    for server in all {
        server.start_again()?;
    }
    stack.wait_until_all_go_on()?;
    // Each starts after those before it.
    stack.demand_view((0..4).fold(Absence::NONE, |sum, _| sum + Absence::RESTARTED))?;
    Stack::restart(&mut stack.exporters[1])?;
    stack.wait_until_all_go_on()?;
    stack.demand_equal_pages()?;
    stack.finish(Absence::RESTARTED)
}
