//! Row 9: Redis' clock is an hour off, and jumps by an hour, forth and back.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use metrifold_tests::{Redis, eventually};
use tempfile::tempdir;

use crate::stack::{AMPLE, REFUSED_MAX, Settings, Stack};

/// Preloads libfaketime as Debian has it; `None` elsewhere. The C library comes right behind it: before the allocator
/// that Debian's Redis uses, which asks for the time while libfaketime starts.
fn preload() -> Result<Option<String>> {
    if !cfg!(target_os = "linux") {
        return Ok(None);
    }
    let places = std::fs::read_dir("/usr/lib")?.filter_map(Result::ok).map(|place| place.path());
    let libraries =
        |place: PathBuf| ["faketime/libfaketimeMT.so.1", "libc.so.6"].map(|name| place.join(name));
    let found = places.map(libraries).find(|found| found.iter().all(|library| library.exists()));
    let found = found.context("libfaketime is not installed")?;
    Ok(Some(found.map(|library| library.display().to_string()).join(" ")))
}

/// A forward jump makes every source look dead, and a jump back leaves their last pushes in the future: all of them are
/// folded and come back, nothing is lost or counted twice, and who dies meanwhile is still found dead.
#[test]
fn the_clock_of_redis_may_be_an_hour_off_and_jump() -> Result<()> {
    let Some(preload) = preload()? else {
        println!("skipped: this system has no libfaketime");
        return Ok(());
    };
    let directory = tempdir()?;
    let offset = directory.path().join("offset");
    std::fs::write(&offset, "-1h")?;
    let environment = [
        ("LD_PRELOAD", preload),
        ("FAKETIME_TIMESTAMP_FILE", offset.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        // The hands of the clock are moved; time itself goes on.
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    let redis = Redis::with(&[], &environment.each_ref().map(|(name, value)| (*name, value.as_str())))?;
    let seconds =
        || -> Result<u64> { Ok(redis.command(&["TIME"])?.lines().next().context("a time")?.parse()?) };
    let mut stack = Stack::start(Settings::new(&redis.url()))?;
    for hours in ["+0h", "+1h", "+0h", "-1h"] {
        let number = stack.one_of_each()[2];
        stack.kill_worker(number)?;
        let before = seconds()?;
        std::fs::write(&offset, hours)?;
        eventually("the clock jumps", AMPLE, || {
            let apart = Duration::from_secs(seconds()?.abs_diff(before));
            ensure!(apart > Duration::from_secs(3000), "{apart:?} after {hours}");
            Ok(())
        })?;
        stack.wait_until_all_go_on()?;
        stack.wait_until_folded()?;
    }
    stack.finish(REFUSED_MAX)
}
