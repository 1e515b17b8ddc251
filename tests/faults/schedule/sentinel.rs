//! A master and its replica behind Sentinel: row 4.

use std::time::Duration;

use anyhow::{Context, Result};
use metrifold_tests::Sentinel;
use rand::{RngExt, rngs::StdRng};

use super::{Place, RESTORED, run, settings};
use crate::{absence::Absence, stack::Stack};

/// To a replica that lacks what was pushed and folded last.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// The master is killed, and comes back without anything.
    Crash,
    /// The master is stopped, and goes on when the other one is promoted.
    Hang,
}

/// The nodes, and which one was the master.
struct Nodes {
    sentinel: Sentinel,
    former: Option<usize>,
}

impl Place for Nodes {
    type Fault = Fault;

    fn choose(&self, random: &mut StdRng) -> Fault {
        if random.random_bool(0.5) { Fault::Crash } else { Fault::Hang }
    }

    fn prepare(&mut self, _: Fault) -> Result<()> {
        self.sentinel.wait_until_whole()?;
        // What is pushed and folded until the master goes, the replica lacks.
        self.sentinel.cut_replication()
    }

    fn begin(&mut self, fault: Fault, _: &mut StdRng) -> Result<()> {
        self.former = Some(match fault {
            Fault::Crash => self.sentinel.kill_master()?,
            Fault::Hang => self.sentinel.stop_master()?,
        });
        Ok(())
    }

    fn end(&mut self, fault: Fault) -> Result<()> {
        let former = self.former.take().context("there was a master")?;
        self.sentinel.wait_for_promotion(former)?;
        match fault {
            Fault::Crash => self.sentinel.start_again(former)?,
            Fault::Hang => self.sentinel.go_on(former)?,
        }
        self.sentinel.mend_replication()
    }

    fn absence(&self, _: Fault, held: Duration) -> Absence {
        Absence::refused(held) + RESTORED
    }
}

#[test]
fn any_schedule_of_faults_behind_sentinel_ends_exact() -> Result<()> {
    run(3, |random| {
        let sentinel = Sentinel::start()?;
        let stack = Stack::start(settings(&sentinel.url(), random))?;
        Ok((Nodes { sentinel, former: None }, stack))
    })
}
