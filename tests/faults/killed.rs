//! Row 1: SIGKILL of workers, of a collector, of the agent, of an exporter.

use anyhow::Result;

use crate::stack::{REFUSED_MAX, Stack, on_redis};

/// Bound touched: a process that pushes or gathers for itself and is SIGKILLed loses what was not yet acknowledged.
#[test]
fn workers_of_every_kind_may_be_killed() -> Result<()> {
    let (_redis, mut stack) = on_redis(&[], |settings| settings)?;
    for _ in 0..2 {
        for number in stack.one_of_each() {
            stack.kill_worker(number)?;
        }
        stack.wait_until_all_go_on()?;
    }
    stack.finish(REFUSED_MAX)
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
    Stack::restart(&mut stack.exporters[1])?;
    stack.wait_until_all_go_on()?;
    stack.finish(REFUSED_MAX)
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
    Stack::restart(&mut stack.exporters[1])?;
    stack.wait_until_all_go_on()?;
    stack.demand_equal_pages()?;
    stack.finish(REFUSED_MAX)
}
