//! Whether this machine has enough cores for what runs on it.

use std::time::{Duration, Instant};

/// Above this share of a time, somebody waits for a core nearly always, and seconds pass between a question and an answer
/// of processes on this machine, whatever they do. Two suites side by side stay well below.
const STARVED_PERCENT: u32 = 70;

/// Measures from when it is made.
#[derive(Debug)]
pub(crate) struct Pressure {
    began: Instant,
    waited: Duration,
}

impl Pressure {
    pub(crate) fn start() -> Pressure {
        Pressure { began: Instant::now(), waited: waited().unwrap_or_default() }
    }

    /// For how much of the time since then somebody waited for a core, if that was nearly all of it. Zero where the system
    /// does not say.
    pub(crate) fn starved(&self) -> Duration {
        let starved = waited().unwrap_or_default().saturating_sub(self.waited);
        let is_starved = starved * 100 > self.began.elapsed() * STARVED_PERCENT;
        if is_starved { starved } else { Duration::ZERO }
    }
}

/// Since the system began, as the kernel's pressure stall information has it.
fn waited() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/pressure/cpu").ok()?;
    let some = text.lines().find(|line| line.starts_with("some"))?;
    let total = some.split_whitespace().find_map(|word| word.strip_prefix("total="))?;
    total.parse().ok().map(Duration::from_micros)
}
