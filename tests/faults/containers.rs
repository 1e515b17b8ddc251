//! Row 7: two containers with equal pids in one namespace.

use anyhow::{Result, ensure};
use metrifold_tests::{Redis, Scrape, contained};

use crate::{
    absence::Absence,
    stack::{Settings, Stack},
};

/// Every worker has pid 1, each in a container: who it is, is its incarnation's affair. Their gauges are told apart by host.
#[test]
fn workers_with_equal_pids_are_told_apart() -> Result<()> {
    if contained("probe", "true".as_ref()).is_none() {
        metrifold_tests::skip("this system gives no pid and uts namespaces");
        return Ok(());
    }
    let redis = Redis::start()?;
    let settings = Settings::new(&redis.url()).set("METRIFOLD_WORKERS__HOST_LABEL", "true");
    let mut stack = Stack::start(Settings { contained: true, ..settings })?;
    for number in stack.one_of_each() {
        stack.kill_worker(number)?;
    }
    stack.wait_until_all_go_on()?;
    stack.wait_until_folded()?;
    for exporter in &stack.exporters {
        let scrape = Scrape::of(&exporter.metrics())?;
        let live: Vec<_> = scrape.starting("worker_present{").collect();
        ensure!(live.len() == stack.workers.len(), "a gauge for each live worker: {live:?}");
        ensure!(
            live.iter().all(|(series, _)| series.contains("host=\"host-") && series.contains("pid=\"1\"")),
            "{live:?}"
        );
    }
    stack.finish(Absence::NONE)
}
