//! A token bucket that needs one instant.

use std::time::{Duration, Instant};

/// Lets `burst` through at once and then one per `interval`. It keeps only the time at which it will be full again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    full_at: Instant,
}

impl Bucket {
    pub(crate) fn full(now: Instant) -> Self {
        Bucket { full_at: now }
    }

    /// Takes one, or says how long to wait for it.
    pub(crate) fn take(&mut self, now: Instant, interval: Duration, burst: u32) -> Result<(), Duration> {
        let missing = self.full_at.saturating_duration_since(now);
        let room = interval * burst.saturating_sub(1);
        match missing.checked_sub(room) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                self.full_at = self.full_at.max(now) + interval;
                Ok(())
            }
        }
    }

    /// Puts one back.
    pub(crate) fn give_back(&mut self, interval: Duration) {
        self.full_at = self.full_at.checked_sub(interval).unwrap_or(self.full_at);
    }

    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.full_at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_passes_and_then_one_per_interval() {
        let start = Instant::now();
        let mut bucket = Bucket::full(start);
        assert_eq!([(); 3].map(|()| bucket.take(start, SECOND, 3)), [Ok(()); 3]);
        assert_eq!(bucket.take(start, SECOND, 3), Err(SECOND));
        assert_eq!(bucket.take(start + SECOND / 4, SECOND, 3), Err(SECOND * 3 / 4));
        assert_eq!(bucket.take(start + SECOND, SECOND, 3), Ok(()));
        assert_eq!(bucket.take(start + SECOND, SECOND, 3), Err(SECOND));
        bucket.give_back(SECOND);
        assert_eq!(bucket.take(start + SECOND, SECOND, 3), Ok(()));
        assert!(!bucket.is_full(start + SECOND) && bucket.is_full(start + SECOND * 9));
        assert_eq!([(); 3].map(|()| bucket.take(start + SECOND * 9, SECOND, 3)), [Ok(()); 3]);
        assert!(
            bucket.take(start + SECOND * 9, SECOND, 3).is_err(),
            "idle time does not add up beyond a burst"
        );
    }
}
