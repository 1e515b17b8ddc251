//! The clock of pushers and reapers.

use metrifold_session::Instant;
use rustix::time::{ClockId, clock_gettime};

/// Milliseconds since the machine started. On Linux also while it slept: a source must know that it was cut off even if
/// the laptop lid was closed.
pub(crate) fn now() -> Instant {
    #[cfg(target_os = "linux")]
    const CLOCK: ClockId = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: ClockId = ClockId::Monotonic;
    let now = clock_gettime(CLOCK);
    Instant(now.tv_sec.unsigned_abs() * 1_000 + now.tv_nsec.unsigned_abs() / 1_000_000)
}
