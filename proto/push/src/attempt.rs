//! How long an attempt may take.

use std::time::Duration;

use metrifold_session::Push;

/// How long an attempt may wait for a connection. Below the time of the attempt, so that the error names the cause.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long one attempt may take: as long as the longest wait between attempts, so that a target that comes back hears
/// of every source in time,
const TIMEOUT: Duration = Duration::from_millis(1500);
/// and longer for large pushes, by the time that they take on a slow line (some 10 Mbit/s).
const TIMEOUT_PER_SLOT: Duration = Duration::from_micros(100);

/// How long the answer to `push` may take.
pub(crate) fn limit(push: &Push) -> Duration {
    let slots = u32::try_from(push.descriptors.count()).unwrap_or(u32::MAX);
    TIMEOUT + TIMEOUT_PER_SLOT.saturating_mul(slots)
}
