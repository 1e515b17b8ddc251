//! Row 5: a Cluster loses a master, has one that hangs, and moves slots under load.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use metrifold_tests::Cluster;
use rustix::process::Signal;

use crate::stack::{REFUSED_MAX, Settings, Stack, Way};

/// What the Cluster itself needs: its node time-out (2 s), the vote and the promotion.
const FAIL_OVER: Duration = Duration::from_secs(15);
const SHARDS: u16 = 6;

fn start() -> Result<(Cluster, Stack)> {
    let cluster = Cluster::start()?;
    let settings = Settings::new(&cluster.url()).set("METRIFOLD_REDIS__SHARDS", &SHARDS.to_string());
    let stack = Stack::start(settings)?;
    stack.wait_until_all_go_on()?;
    Ok((cluster, stack))
}

/// The archive of a shard, which is as good as any of its keys.
fn key(shard: u16) -> String {
    format!("faults:{{faults/{shard}}}:archive")
}

/// How many direct writers have had pushes acknowledged since `before`.
fn gone_on(stack: &Stack, before: &[u64]) -> Result<usize> {
    let mut count = 0;
    for (worker, before) in stack.workers.iter().zip(before) {
        count += usize::from(worker.way == Way::Redis && worker.words()?[2] > *before);
    }
    Ok(count)
}

/// Shards on the other masters go on meanwhile.
fn lose_a_master(signal: Signal) -> Result<()> {
    let (cluster, stack) = start()?;
    let victim = cluster.master(&key(0))?;
    let others = (0..SHARDS).filter(|shard| cluster.master(&key(*shard)).is_ok_and(|node| node != victim));
    ensure!(others.count() > 0, "another master holds a shard");
    let acknowledged = |worker: &crate::stack::Worker| worker.words().map(|words| words[2]);
    cluster.signal(victim, signal)?;
    let before: Vec<u64> = stack.workers.iter().map(acknowledged).collect::<Result<_>>()?;
    // Before anybody is promoted: the node time-out is two seconds.
    std::thread::park_timeout(Duration::from_millis(1500));
    let meanwhile = gone_on(&stack, &before)?;
    cluster.wait_for_promotion(&key(0), victim)?;
    if signal == Signal::STOP {
        cluster.signal(victim, Signal::CONT)?;
    }
    ensure!(meanwhile > 0, "nobody's pushes were acknowledged while one of three masters was away");
    stack.wait_until_all_go_on()?;
    stack.finish(REFUSED_MAX + FAIL_OVER)
}

#[test]
fn a_cluster_may_lose_a_master() -> Result<()> {
    lose_a_master(Signal::KILL)
}

#[test]
fn a_cluster_may_have_a_master_that_hangs_and_comes_back() -> Result<()> {
    lose_a_master(Signal::STOP)
}

#[test]
fn slots_may_move_under_load() -> Result<()> {
    let (cluster, stack) = start()?;
    for shard in 0..2 {
        let from = cluster.master(&key(shard))?;
        let mut masters = (0..SHARDS).filter_map(|other| cluster.master(&key(other)).ok());
        let to = masters.find(|node| *node != from).context("another master holds a shard")?;
        cluster.migrate(&key(shard), to)?;
        ensure!(cluster.master(&key(shard))? == to, "it has moved");
        stack.wait_until_all_go_on()?;
    }
    stack.finish(REFUSED_MAX)
}
