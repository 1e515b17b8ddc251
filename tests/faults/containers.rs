//! Row 7: two containers with equal pids in one namespace.

use anyhow::Result;
use metrifold_tests::{Redis, contained};

use crate::stack::{REFUSED_MAX, Settings, Stack};

/// Every worker has pid 1, on one of two hosts: who it is, is its incarnation's affair.
#[test]
fn workers_with_equal_pids_are_told_apart() -> Result<()> {
    if contained("probe", "true".as_ref()).is_none() {
        println!("skipped: this system gives no pid and uts namespaces");
        return Ok(());
    }
    let redis = Redis::start()?;
    let mut stack = Stack::start(Settings { contained: true, ..Settings::new(&redis.url()) })?;
    for number in stack.one_of_each() {
        stack.kill_worker(number)?;
    }
    stack.wait_until_all_go_on()?;
    stack.wait_until_folded()?;
    stack.finish(REFUSED_MAX)
}
