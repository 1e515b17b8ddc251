//! Row 4: Sentinel promotes a replica that lacks what was acknowledged last.

use std::time::{Duration, Instant};

use anyhow::Result;
use metrifold_tests::Sentinel;

use crate::{
    absence::Absence,
    stack::{Settings, Stack},
};

/// The time to live of a source here. Short, because Sentinel promotes no replica that was cut off for long.
const TTL: Duration = Duration::from_secs(2);

/// Replication is cut first, so that the replica lacks pushes and folds. Then the master hangs and another one is promoted;
/// then that one crashes, and the first is promoted again, without ever having ended: a process that knows all scripts,
/// and an older state of everything.
#[test]
fn a_fail_over_to_a_replica_that_lags_and_back_again_loses_nothing() -> Result<()> {
    let mut sentinel = Sentinel::start()?;
    let mut stack = Stack::start(
        Settings::new(&sentinel.url()).set("METRIFOLD_WORKERS__TTL", &format!("{}s", TTL.as_secs())),
    )?;
    stack.wait_until_all_go_on()?;
    for crashes in [false, true] {
        sentinel.wait_until_whole()?;
        let number = stack.one_of_each()[2];
        stack.kill_worker(number)?;
        // Its fold is to be among what the replica lacks.
        sentinel.cut_replication()?;
        stack.wait_until_folded()?;
        stack.wait_until_remembered()?;
        let began = Instant::now();
        let former = if crashes { sentinel.kill_master()? } else { sentinel.stop_master()? };
        sentinel.wait_for_promotion(former)?;
        let failing_over = began.elapsed();
        match crashes {
            true => sentinel.start_again(former)?,
            false => sentinel.go_on(former)?,
        }
        sentinel.mend_replication()?;
        stack.wait_until_all_go_on()?;
        // A fail-over is ridden out in about the time that Redis itself needs for it.
        stack.demand_view(Absence::refused(failing_over) + Absence::RESTORED)?;
    }
    stack.finish(Absence::NONE)
}
