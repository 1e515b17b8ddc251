//! Instants and random ids for the pure state machines, which take them as values.

use std::hash::{BuildHasher, RandomState};

use metrifold_model::Incarnation;
use metrifold_session::Instant;
use rand::TryRng;
use rustix::time::{ClockId, clock_gettime};

/// Milliseconds since the machine started. On Linux also while it slept, as the stores' clocks do: a source must know
/// that it was cut off even if the laptop lid was closed.
pub fn now() -> Instant {
    #[cfg(target_os = "linux")]
    const CLOCK: ClockId = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: ClockId = ClockId::Monotonic;
    let now = clock_gettime(CLOCK);
    Instant(now.tv_sec.unsigned_abs().saturating_mul(1_000) + now.tv_nsec.unsigned_abs() / 1_000_000)
}

/// An unused id for a source, from the operating system every time: a generator's state would be copied by a fork.
pub fn fresh_incarnation() -> Incarnation {
    let fallback = |_| {
        let time = std::time::SystemTime::now();
        RandomState::new().hash_one((std::process::id(), time))
    };
    Incarnation(rand::rngs::SysRng.try_next_u64().unwrap_or_else(fallback))
}
