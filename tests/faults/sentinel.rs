//! Row 4: Sentinel promotes a replica that lacks what was acknowledged last.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use metrifold_tests::Sentinel;

use crate::{
    absence::Absence,
    stack::{Settings, Stack},
};

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
        let began = Instant::now();
        sentinel.fail_over()?;
        let failing_over = began.elapsed();
        ensure!(failing_over < FAIL_OVER, "Sentinel itself needs {failing_over:?}");
        sentinel.mend_replication()?;
        stack.wait_until_all_go_on()?;
        stack.demand_view(Absence::refused(failing_over) + Absence::RESTORED)?;
    }
    stack.finish(Absence::NONE)
}
