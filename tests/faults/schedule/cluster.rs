//! A Cluster of three masters and three replicas: row 5.

use std::time::Duration;

use anyhow::{Context, Result};
use metrifold_tests::Cluster;
use rand::{RngExt, rngs::StdRng, seq::IteratorRandom};
use rustix::process::Signal;

use super::{Place, run, settings};
use crate::{
    cluster::{FAIL_OVER, REPLICAS, SHARDS, key},
    stack::Stack,
};

#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    PauseMaster,
    MoveSlot,
}

impl Place for Cluster {
    type Fault = Fault;

    const OUTAGE_MAX: Duration = FAIL_OVER;

    fn faults(&self) -> Vec<Fault> {
        vec![Fault::PauseMaster, Fault::MoveSlot]
    }

    fn strike(&mut self, fault: Fault, random: &mut StdRng, _: &mut Stack) -> Result<()> {
        let shard = key(random.random_range(0..SHARDS));
        let holder = self.master(&shard)?;
        match fault {
            // Comes back as the replica of the one that was promoted in its place.
            Fault::PauseMaster => {
                self.wait_until_whole(REPLICAS)?;
                self.signal(holder, Signal::STOP)?;
                self.wait_for_promotion(&shard, holder)?;
                self.signal(holder, Signal::CONT)
            }
            Fault::MoveSlot => {
                let masters = (0..SHARDS).filter_map(|other| self.master(&key(other)).ok());
                let to = masters.filter(|node| *node != holder).choose(random);
                self.migrate(&shard, to.context("another master holds a shard")?)
            }
        }
    }
}

#[test]
fn any_schedule_of_faults_on_a_cluster_ends_exact() -> Result<()> {
    run(4, |random| {
        let cluster = Cluster::start()?;
        let settings = settings(&cluster.url(), random).set("METRIFOLD_REDIS__SHARDS", &SHARDS.to_string());
        let stack = Stack::start(settings)?;
        Ok((cluster, stack))
    })
}
