//! How long there may be no view, fault by fault, and why: each bound is a sum of what has to happen one after another.

use std::{ops::Add, time::Duration};

use anyhow::{Result, ensure};
use metrifold_tests::Gap;

/// `store.restore_grace` of the servers under test: how long one without a memory leaves restoring to others.
pub(crate) const GRACE: Duration = Duration::from_secs(1);
/// `store.settle` of the servers under test: twice the longest pause of a pusher.
pub(crate) const SETTLE: Duration = Duration::from_secs(3);

/// Each of two exporters is asked every 0.4 s, so that much may lie between the end of a view and the scrape that misses
/// it, and between its return and the scrape that finds it; the rest is for two slow cores.
const SAMPLING: Duration = Duration::from_secs(2);
/// The longest pause of a server between two attempts to connect, and the time limit of an attempt.
const RECONNECTING: Duration = Duration::from_secs(2);
/// A reaper, which restores, looks every second.
const PASS: Duration = Duration::from_secs(1);
/// What a server needs to start, on two slow cores.
const STARTING: Duration = Duration::from_secs(3);

/// A bound for a time without a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Absence {
    /// For so long scrapes may be answered by 503.
    refused: Duration,
    /// For so long an exporter may be out of reach.
    unanswered: Duration,
}

impl Absence {
    /// What does not concern the store or an exporter concerns no scrape either.
    pub(crate) const NONE: Absence = Absence::refused(Duration::ZERO);
    /// An exporter was killed and is started again.
    pub(crate) const RESTARTED: Absence = Absence { refused: Duration::ZERO, unanswered: STARTING };
    /// Exporters find the store again, and it has everything.
    pub(crate) const RECONNECTED: Absence = Absence::refused(RECONNECTING);
    /// The store has come back as another process, or with less: sealed until a reaper has connected and seen it, and has
    /// waited for somebody with a memory; then it settles.
    pub(crate) const RESTORED: Absence =
        Absence::refused(RECONNECTING.saturating_add(PASS).saturating_add(GRACE).saturating_add(SETTLE));

    /// The store is out of reach of the exporters for so long.
    pub(crate) const fn refused(span: Duration) -> Absence {
        Absence { refused: span, unanswered: Duration::ZERO }
    }

    /// An exporter is out of reach for so long.
    pub(crate) const fn unanswered(span: Duration) -> Absence {
        Absence { refused: Duration::ZERO, unanswered: span }
    }

    /// The longest time in which scrapes may be answered by 503.
    pub(crate) const fn refused_max(self) -> Duration {
        self.refused
    }

    /// Demands that a gap is within this bound, and that nobody was refused who may not be. (Where Redis itself has no core to
    /// answer on within a second, which the kernel tells, a server may refuse for that time without any other reason.)
    pub(crate) fn check(self, gap: Gap) -> Result<()> {
        let longest = SAMPLING + self.refused + self.unanswered;
        ensure!(gap.longest <= longest, "no view for {:?}, at most {longest:?} is {self:?}", gap.longest);
        ensure!(gap.refused == 0 || !self.refused.is_zero(), "{gap:?}: 503, where there is no reason for it");
        Ok(())
    }
}

impl Add for Absence {
    type Output = Absence;

    fn add(self, other: Absence) -> Absence {
        Absence { refused: self.refused + other.refused, unanswered: self.unanswered + other.unanswered }
    }
}
