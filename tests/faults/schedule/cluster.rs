//! A Cluster of three masters and three replicas: row 5.

use std::time::Duration;

use anyhow::{Context, Result};
use metrifold_tests::Cluster;
use rand::{RngExt, rngs::StdRng, seq::IteratorRandom};
use rustix::process::Signal;

use super::{Place, RESTORED, run, settings};
use crate::{
    absence::Absence,
    cluster::{REPLICAS, SHARDS, key},
    stack::Stack,
};

/// To the master of a shard.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    KillMaster(u16),
    PauseMaster(u16),
    MoveSlot(u16),
}

/// The nodes, and which one is struck.
struct Nodes {
    cluster: Cluster,
    victim: Option<usize>,
}

impl Nodes {
    /// Whoever was struck comes back as the replica of the one that was promoted in its place.
    fn take_promoted(&mut self, shard: u16) -> Result<usize> {
        let victim = self.victim.take().context("nobody was struck")?;
        self.cluster.wait_for_promotion(&key(shard), victim)?;
        Ok(victim)
    }
}

impl Place for Nodes {
    type Fault = Fault;

    fn choose(&self, random: &mut StdRng) -> Fault {
        let shard = random.random_range(0..SHARDS);
        [Fault::KillMaster(shard), Fault::PauseMaster(shard), Fault::MoveSlot(shard)]
            .into_iter()
            .choose(random)
            .expect("there are three")
    }

    fn prepare(&mut self, _: Fault) -> Result<()> {
        self.cluster.wait_until_whole(REPLICAS)
    }

    fn begin(&mut self, fault: Fault, random: &mut StdRng) -> Result<()> {
        let (Fault::KillMaster(shard) | Fault::PauseMaster(shard) | Fault::MoveSlot(shard)) = fault;
        let holder = self.cluster.master(&key(shard))?;
        self.victim = Some(holder);
        match fault {
            Fault::KillMaster(_) => self.cluster.kill(holder),
            Fault::PauseMaster(_) => self.cluster.signal(holder, Signal::STOP),
            Fault::MoveSlot(_) => {
                let masters = (0..SHARDS).filter_map(|other| self.cluster.master(&key(other)).ok());
                let to = masters.filter(|node| *node != holder).choose(random);
                self.cluster.migrate(&key(shard), to.context("another master holds a shard")?)
            }
        }
    }

    fn end(&mut self, fault: Fault) -> Result<()> {
        match fault {
            Fault::KillMaster(shard) => {
                let victim = self.take_promoted(shard)?;
                self.cluster.start_again(victim)
            }
            Fault::PauseMaster(shard) => {
                let victim = self.take_promoted(shard)?;
                self.cluster.signal(victim, Signal::CONT)
            }
            Fault::MoveSlot(_) => Ok(()),
        }
    }

    fn absence(&self, _: Fault, held: Duration) -> Absence {
        Absence::refused(held) + RESTORED
    }
}

#[test]
fn any_schedule_of_faults_on_a_cluster_ends_exact() -> Result<()> {
    run(3, |random| {
        let cluster = Cluster::start()?;
        let settings = settings(&cluster.url(), random).set("METRIFOLD_REDIS__SHARDS", &SHARDS.to_string());
        let stack = Stack::start(settings)?;
        Ok((Nodes { cluster, victim: None }, stack))
    })
}
