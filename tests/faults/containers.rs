//! Row 7: two containers with equal pids in one namespace.

use anyhow::{Result, ensure};
use metrifold_tests::{Redis, Scrape, contained};

use crate::{
    absence::Absence,
    stack::{Settings, Stack},
};

const HOST: &str = "host=\"host-";
const PID: &str = "pid=\"1\"";

/// Every worker has pid 1, each in a container: who it is, is its incarnation's affair. Their gauges are told apart by host:
/// those that end with their worker, and those of mode `all`, which the dead leave for a while.
#[test]
fn workers_with_equal_pids_are_told_apart() -> Result<()> {
    if contained("probe", "true".as_ref()).is_none() {
        metrifold_tests::skip("this system gives no pid and uts namespaces");
        return Ok(());
    }
    let redis = Redis::start()?;
    let settings = Settings::new(&redis.url())
        .set("METRIFOLD_WORKERS__HOST_LABEL", "true")
        .set("METRIFOLD_WORKERS__GAUGE_RETENTION", "10m");
    let mut stack = Stack::start(Settings { contained: true, ..settings })?;
    let killed = stack.one_of_each();
    for number in &killed {
        stack.kill_worker(*number)?;
    }
    stack.wait_until_all_go_on()?;
    stack.wait_until_folded()?;
    for exporter in &stack.exporters {
        let scrape = Scrape::of(&exporter.metrics())?;
        let of_the_live = ("worker_present{", stack.workers.len());
        let of_all = ("worker_seen{", stack.workers.len() + killed.len());
        for (gauge, count) in [of_the_live, of_all] {
            let found: Vec<_> = scrape.starting(gauge).collect();
            ensure!(found.len() == count, "{count} of {gauge}: {found:?}");
            let is_told_apart = |(series, value): &(&str, f64)| {
                series.contains(HOST) && series.contains(PID) && *value == 1.0
            };
            ensure!(found.iter().all(is_told_apart), "{found:?}");
        }
    }
    stack.finish(Absence::NONE)
}
