//! Row 5: a Cluster loses a master, has one that hangs, and moves slots under load.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use metrifold_tests::{Cluster, eventually};
use rustix::process::Signal;

use crate::{
    absence::Absence,
    stack::{Settings, Stack},
};

/// Much more than a healthy shard needs, and less than it would take if it had to wait for the other one's fail-over: the
/// Cluster's node time-out (4 s), the vote and the promotion.
const GOING_ON: Duration = Duration::from_secs(15);
pub(crate) const SHARDS: u16 = 6;
/// One for each master.
pub(crate) const REPLICAS: usize = 3;

fn start() -> Result<(Cluster, Stack)> {
    let cluster = Cluster::start()?;
    let settings = Settings::new(&cluster.url()).set("METRIFOLD_REDIS__SHARDS", &SHARDS.to_string());
    let stack = Stack::start(settings)?;
    stack.wait_until_all_go_on()?;
    Ok((cluster, stack))
}

/// The archive of a shard, which is as good as any of its keys.
pub(crate) fn key(shard: u16) -> String {
    format!("faults:{{faults/{shard}}}:archive")
}

/// When the store last heard of the source that it has not heard of for longest, for each of these shards that has any.
fn oldest_pushes(cluster: &Cluster, shards: &[(u16, usize)]) -> Result<Vec<u64>> {
    let mut oldest = Vec::new();
    for (shard, node) in shards {
        let key = format!("faults:{{faults/{shard}}}:workers");
        let first = cluster.command(*node, &["ZRANGE", &key, "0", "0", "WITHSCORES"])?;
        oldest.extend(first.lines().nth(1).map(str::parse::<u64>).transpose()?);
    }
    Ok(oldest)
}

/// Every source of every shard on the other masters goes on meanwhile.
fn lose_a_master(signal: Signal) -> Result<()> {
    let (cluster, stack) = start()?;
    let victim = cluster.master(&key(0))?;
    let masters = (0..SHARDS).map(|shard| Ok((shard, cluster.master(&key(shard))?)));
    let mut healthy: Vec<_> = masters.collect::<Result<_>>()?;
    healthy.retain(|(_, node)| *node != victim);
    ensure!(!oldest_pushes(&cluster, &healthy)?.is_empty(), "another master holds sources");
    let began = Instant::now();
    cluster.signal(victim, signal)?;
    let lost = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    eventually("all sources of the healthy shards go on", GOING_ON, || {
        let oldest = oldest_pushes(&cluster, &healthy)?;
        ensure!(oldest.iter().all(|seen| *seen > lost), "heard of {oldest:?}, the master was lost at {lost}");
        Ok(())
    })?;
    let asked = healthy[0].1;
    let holder = cluster.master_of(&key(0), asked).ok();
    ensure!(holder.is_none_or(|node| node == victim), "that was before anybody was promoted");
    cluster.wait_for_promotion(&key(0), victim)?;
    let failing_over = began.elapsed();
    if signal == Signal::STOP {
        cluster.signal(victim, Signal::CONT)?;
    }
    stack.wait_until_all_go_on()?;
    stack.finish(Absence::refused(failing_over) + Absence::RESTORED)
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
        // To the shard its new master is another process.
        stack.demand_view(Absence::RESTORED)?;
    }
    stack.finish(Absence::NONE)
}
