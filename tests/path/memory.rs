//! What a server's memory does when many scrape at once.

use std::{fs, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use metrifold_client::Pusher;
use metrifold_tests::{Server, eventually, get};
use prometheus::{IntCounterVec, Opts, Registry};
use tempfile::tempdir;

/// A page of some three megabytes.
const SERIES: usize = 50_000;
const AT_ONCE: usize = 64;

/// The most memory that the server had while something was done, in bytes.
fn peak(pid: u32, work: impl FnOnce() -> Result<()>) -> Result<u64> {
    // Sets the peak back to what is resident now (proc_pid_clear_refs(5)).
    fs::write(format!("/proc/{pid}/clear_refs"), "5")?;
    work()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("a peak")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1_024)
}

/// Goal: memory grows with the pages that are asked for at a time, and not with who asks. Method: the peak of one scrape
/// after the other, and of many at once; a copy of the page for each would be sixty times three megabytes.
#[test]
fn scrapes_at_once_need_no_more_memory_than_one() -> Result<()> {
    let directory = tempdir()?;
    let segments = directory.path().join("segments").display().to_string();
    let mut server = Server::start("serve", &["serve", "--segment-dir", &segments], directory.path())?;
    let registry = Registry::new();
    let events = IntCounterVec::new(Opts::new("events_total", "Events."), &["path"])?;
    registry.register(Box::new(events.clone()))?;
    (0..SERIES)
        .for_each(|number| events.with_label_values(&[&format!("/a/path/of/some/length/{number}")]).inc());
    let pusher = Pusher::builder().registry(registry).target(server.url()).start()?;
    pusher.flush(Duration::from_secs(30))?;

    let (pid, url) = (server.process().pid(), server.metrics());
    let scrape = || -> Result<usize> { Ok(get(&url)?.len()) };
    let length = eventually("the whole page is shown", Duration::from_secs(30), || {
        let length = scrape()?;
        ensure!(length > SERIES * 50, "{length} bytes");
        Ok(length)
    })?;
    let one = peak(pid, || (0..4).try_for_each(|_| scrape().map(drop)))?;
    let many = peak(pid, || {
        thread::scope(|scope| {
            let scrapes: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(scrape)).collect();
            scrapes.into_iter().try_for_each(|scrape| {
                ensure!(
                    scrape.join().map_err(|_| anyhow::anyhow!("it panicked"))?? == length,
                    "another page"
                );
                Ok(())
            })
        })
    })?;
    // The connections' own buffers, and at most one view more than before.
    let copies = many.saturating_sub(one) / length as u64;
    ensure!(
        copies < AT_ONCE as u64 / 4,
        "{copies} pages of {length} bytes more: {one} bytes for one, {many} for many"
    );
    pusher.shutdown(Duration::from_secs(10))?;
    Ok(())
}
