//! Row 8: Redis is full.

use anyhow::{Context, Result, ensure};
use metrifold_tests::{Scrape, eventually, get};

use crate::{
    absence::Absence,
    stack::{AMPLE, TTL, on_redis},
};

/// Pushes are refused and reported, folding goes on, and once there is room again nothing was lost.
#[test]
fn a_full_redis_refuses_pushes_but_not_folds_and_loses_nothing() -> Result<()> {
    let (redis, mut stack) = on_redis(&["--maxmemory-policy", "noeviction"], |settings| settings)?;
    stack.wait_until_all_go_on()?;
    let folded = stack.sources("folded")?;
    ensure!(redis.command(&["CONFIG", "SET", "maxmemory", "1"])?.trim() == "OK", "it is full");
    eventually("a collector reports it", AMPLE, || {
        let own = Scrape::parse(&get(&stack.collectors[0].own_metrics())?)?;
        let failed: f64 =
            own.starting("metrifold_store_errors_total{operation=\"push\"").map(|(_, n)| n).sum();
        ensure!(failed > 0.0, "no push has failed");
        let ready = get(&format!("{}/-/ready", stack.collectors[0].url()));
        let reason = ready.err().context("it says that it is ready")?.to_string();
        ensure!(reason.contains("maxmemory"), "{reason}");
        Ok(())
    })?;
    // Nobody can push, so in time everybody is past the time to live, and is folded.
    eventually("folding goes on", AMPLE + TTL, || {
        let now = stack.sources("folded")?;
        ensure!(now >= folded + stack.workers.len() as f64, "{now} folded after {folded}");
        Ok(())
    })?;
    ensure!(redis.command(&["CONFIG", "SET", "maxmemory", "0"])?.trim() == "OK", "there is room");
    stack.wait_until_all_go_on()?;
    let number = stack.one_of_each()[0];
    stack.kill_worker(number)?;
    stack.wait_until_folded()?;
    stack.finish(Absence::NONE)
}
