//! Clock and randomness for the pure machine.

use std::hash::{BuildHasher, RandomState};

use metrifold_model::Incarnation;
use metrifold_session::Instant;
use rand::TryRng;
use rustix::time::{ClockId, clock_gettime};

/// The boot-time clock: it goes on while the machine sleeps, as the stores' clocks do.
pub(crate) fn now() -> Instant {
    #[cfg(target_os = "linux")]
    let clock = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = ClockId::Monotonic;
    let time = clock_gettime(clock);
    let milliseconds = time.tv_sec.saturating_mul(1000) + time.tv_nsec / 1_000_000;
    Instant(u64::try_from(milliseconds).unwrap_or(0))
}

/// A random id, from the operating system every time: a generator's state would be copied by a fork.
pub(crate) fn fresh_incarnation() -> Incarnation {
    let fallback = |_| {
        let time = std::time::SystemTime::now();
        RandomState::new().hash_one((std::process::id(), time))
    };
    Incarnation(rand::rngs::SysRng.try_next_u64().unwrap_or_else(fallback))
}
