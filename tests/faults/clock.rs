//! Row 9: Redis' clock is an hour off, and jumps by an hour, forth and back.

use std::{
    ops::{Deref, DerefMut},
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use metrifold_tests::{Redis, eventually};
use tempfile::{TempDir, tempdir};

use crate::{
    absence::Absence,
    stack::{AMPLE, Settings, Stack},
};

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

/// A Redis whose clock a test can set, where libfaketime can be had.
pub(crate) struct ClockedRedis {
    redis: Redis,
    /// Of the file that says how far the clock is off.
    directory: TempDir,
    can_jump: bool,
}

impl ClockedRedis {
    /// With these settings, an hour slow if that is possible.
    pub(crate) fn start(settings: &[&str]) -> Result<ClockedRedis> {
        let directory = tempdir()?;
        let offset = directory.path().join("offset");
        std::fs::write(&offset, "-1h")?;
        let preload = preload()?;
        let environment = [
            ("LD_PRELOAD", preload.clone().unwrap_or_default()),
            ("FAKETIME_TIMESTAMP_FILE", offset.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            // The hands of the clock are moved; time itself goes on.
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
        let can_jump = preload.is_some();
        let redis = Redis::with(settings, if can_jump { &environment } else { &[] })?;
        Ok(ClockedRedis { redis, directory, can_jump })
    }

    pub(crate) fn can_jump(&self) -> bool {
        self.can_jump
    }

    fn seconds(&self) -> Result<u64> {
        Ok(self.redis.command(&["TIME"])?.lines().next().context("a time")?.parse()?)
    }

    /// Lets the clock be so many hours off, such as `+1h`.
    pub(crate) fn jump(&self, hours: &str) -> Result<()> {
        let offset: i64 = hours.trim_end_matches('h').parse()?;
        std::fs::write(self.directory.path().join("offset"), hours)?;
        eventually("the clock jumps", AMPLE, || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
            let due = now.checked_add_signed(offset * 3600).context("after 1970")?;
            let apart = self.seconds()?.abs_diff(due);
            ensure!(apart < 60, "{apart} s from {hours}");
            Ok(())
        })
    }
}

impl Deref for ClockedRedis {
    type Target = Redis;

    fn deref(&self) -> &Redis {
        &self.redis
    }
}

impl DerefMut for ClockedRedis {
    fn deref_mut(&mut self) -> &mut Redis {
        &mut self.redis
    }
}

/// A forward jump makes every source look dead, and a jump back leaves their last pushes in the future: all of them are
/// folded and come back, nothing is lost or counted twice, and who dies meanwhile is still found dead.
#[test]
fn the_clock_of_redis_may_be_an_hour_off_and_jump() -> Result<()> {
    let redis = ClockedRedis::start(&[])?;
    if !redis.can_jump() {
        metrifold_tests::skip("this system has no libfaketime");
        return Ok(());
    }
    let mut stack = Stack::start(Settings::new(&redis.url()))?;
    for hours in ["+0h", "+1h", "+0h", "-1h"] {
        let number = stack.one_of_each()[2];
        stack.kill_worker(number)?;
        redis.jump(hours)?;
        stack.wait_until_all_go_on()?;
        stack.wait_until_folded()?;
    }
    stack.finish(Absence::NONE)
}
