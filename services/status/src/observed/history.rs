//! A short, bounded past, so that a page that has just been opened has something to show.

use std::{collections::VecDeque, time::Duration};

use super::lives::Changes;

/// Time between two points.
pub(crate) const HISTORY_INTERVAL: Duration = Duration::from_secs(5);
/// Points kept: a quarter of an hour. Prometheus keeps the rest.
pub(crate) const HISTORY_POINTS_MAX: usize = 180;

/// The last points of a series, oldest first.
#[derive(Clone, Debug)]
pub(crate) struct History<P>(VecDeque<P>);

impl<P> Default for History<P> {
    fn default() -> Self {
        History(VecDeque::new())
    }
}

impl<P> History<P> {
    /// Appends a point; the oldest makes room.
    pub(crate) fn push(&mut self, point: P) {
        if self.0.len() == HISTORY_POINTS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(point);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &P> {
        self.0.iter()
    }
}

/// One interval in the life of a namespace's sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lives {
    /// Live sources at its end.
    pub(crate) live: usize,
    /// What happened in it.
    pub(crate) changes: Changes,
}

/// What passed through this process in one interval; also: since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Pushes that reached the store.
    pub(crate) pushes: u64,
    /// Pushes refused for good, among them.
    pub(crate) refused: u64,
    /// Scrapes answered with a view.
    pub(crate) scrapes: u64,
    /// Scrapes answered with a reason instead.
    pub(crate) scrapes_failed: u64,
}

impl Traffic {
    /// What came since `earlier`.
    pub(crate) fn since(self, earlier: Traffic) -> Traffic {
        Traffic {
            pushes: self.pushes.saturating_sub(earlier.pushes),
            refused: self.refused.saturating_sub(earlier.refused),
            scrapes: self.scrapes.saturating_sub(earlier.scrapes),
            scrapes_failed: self.scrapes_failed.saturating_sub(earlier.scrapes_failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_past_is_bounded_and_keeps_the_newest() {
        let mut history = History::default();
        (0..HISTORY_POINTS_MAX + 7).for_each(|point| history.push(point));
        assert_eq!(history.iter().count(), HISTORY_POINTS_MAX);
        assert_eq!(history.iter().next(), Some(&7));
    }
}
