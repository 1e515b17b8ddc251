//! A master and its replica behind Sentinel: row 4.

use std::time::Duration;

use anyhow::Result;
use metrifold_tests::Sentinel;
use rand::rngs::StdRng;

use super::{Place, run, settings};
use crate::{sentinel::FAIL_OVER, stack::Stack};

/// To a replica that lacks what was pushed and folded last.
#[derive(Clone, Copy, Debug)]
pub(super) struct FailOver;

impl Place for Sentinel {
    type Fault = FailOver;

    const OUTAGE_MAX: Duration = FAIL_OVER;

    fn faults(&self) -> Vec<FailOver> {
        vec![FailOver]
    }

    fn strike(&mut self, FailOver: FailOver, _: &mut StdRng, stack: &mut Stack) -> Result<()> {
        self.wait_until_whole()?;
        self.cut_replication()?;
        stack.wait_until_all_push()?;
        stack.wait_until_remembered()?;
        self.fail_over()?;
        self.mend_replication()
    }
}

#[test]
fn any_schedule_of_faults_behind_sentinel_ends_exact() -> Result<()> {
    run(4, |random| {
        let sentinel = Sentinel::start()?;
        let stack = Stack::start(settings(&sentinel.url(), random))?;
        Ok((sentinel, stack))
    })
}
