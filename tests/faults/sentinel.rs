//! Row 4: Sentinel promotes a replica that lacks what was acknowledged last.

use std::time::Duration;

use anyhow::Result;
use metrifold_tests::Sentinel;

use crate::stack::{REFUSED_MAX, Settings, Stack};

/// What Sentinel itself needs: two seconds until it takes the master for down, its vote and the promotion, and the pace at
/// which it tells.
pub(crate) const FAIL_OVER: Duration = Duration::from_secs(15);

/// Replication is cut first, so that the replica lacks pushes and folds; then back again, without any node ever having
/// ended: to a process that knows all scripts, and an older state of everything.
#[test]
fn a_fail_over_to_a_replica_that_lags_and_back_again_loses_nothing() -> Result<()> {
    let sentinel = Sentinel::start()?;
    let mut stack = Stack::start(Settings::new(&sentinel.url()))?;
    stack.wait_until_all_go_on()?;
    for _ in 0..2 {
        sentinel.wait_until_whole()?;
        let number = stack.one_of_each()[2];
        stack.kill_worker(number)?;
        // Its fold is to be among what the replica lacks.
        sentinel.cut_replication()?;
        stack.wait_until_folded()?;
        stack.wait_until_remembered()?;
        sentinel.fail_over()?;
        sentinel.mend_replication()?;
        stack.wait_until_all_go_on()?;
    }
    stack.finish(REFUSED_MAX + FAIL_OVER)
}
