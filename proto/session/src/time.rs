//! Instants as values: whoever calls a machine reads the clock.

use std::time::Duration;

/// Milliseconds on some clock; which one is the caller's affair (a pusher's boot-time clock, a store's own clock, an
/// archive's age clock). Instants of different clocks are never compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instant(pub u64);

impl Instant {
    /// The time from `earlier` to this instant; zero if the clock went backwards.
    pub fn since(self, earlier: Instant) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The time between this instant and another one, whichever is later.
    ///
    /// For a clock that may be set back: what it stamped before then lies ahead of it, and would not age at all.
    pub fn apart(self, other: Instant) -> Duration {
        Duration::from_millis(self.0.abs_diff(other.0))
    }
}

impl std::ops::Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, span: Duration) -> Instant {
        Instant(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }
}
