//! What a source knows of its slots besides their values.

use std::{collections::BTreeMap, sync::Arc};

use crate::Exemplar;

/// Times of creation, exemplars and removals of a source's slots, by the slots' places. A push carries them with the
/// values; no store has to understand them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Annotations {
    /// When each slot began to count, Unix milliseconds; 0 = not known, as for the slots beyond the end.
    pub created: Vec<u64>,
    /// The last removal or return of the slots that were ever removed.
    pub presence: BTreeMap<usize, Presence>,
    /// The newest exemplars.
    pub exemplars: BTreeMap<usize, Arc<Exemplar>>,
}

/// Whether a source shows a slot: `remove()` and `clear()` hide what was counted, and counting again shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Presence {
    /// Shown since this time, Unix milliseconds; 0 = not known.
    Shown(u64),
    /// Removed at this time, Unix milliseconds.
    Removed(u64),
}

impl Annotations {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.created.is_empty() && self.presence.is_empty() && self.exemplars.is_empty()
    }

    /// When a slot began to count; 0 = not known.
    pub fn created(&self, slot: usize) -> u64 {
        self.created.get(slot).copied().unwrap_or(0)
    }

    /// Whether a slot is shown; one that was never removed is shown since its creation.
    pub fn presence(&self, slot: usize) -> Presence {
        self.presence.get(&slot).copied().unwrap_or_else(|| Presence::Shown(self.created(slot)))
    }

    /// Whether the source removed a slot and did not bring it back.
    pub fn is_removed(&self, slot: usize) -> bool {
        matches!(self.presence.get(&slot), Some(Presence::Removed(_)))
    }
}

/// What several sources say of one series that none of them counts any more: the newest removal and the newest
/// appearance. To join is to take the later of each, so neither the order of sources nor joining one twice shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Marks {
    /// When a source last began to show the series, Unix milliseconds; 0 = not known.
    pub shown: u64,
    /// When a source last removed it; 0 = never.
    pub removed: u64,
}

impl Marks {
    /// Whether the last word is that the series was removed.
    pub fn is_removed(self) -> bool {
        self.removed > self.shown
    }

    /// The later of each.
    pub fn join(self, other: Marks) -> Marks {
        Marks { shown: self.shown.max(other.shown), removed: self.removed.max(other.removed) }
    }
}

impl From<Presence> for Marks {
    fn from(presence: Presence) -> Marks {
        match presence {
            Presence::Shown(shown) => Marks { shown, removed: 0 },
            Presence::Removed(removed) => Marks { shown: 0, removed },
        }
    }
}

/// The earlier of two times of creation, of which 0 is not known.
pub fn earlier(one: u64, two: u64) -> u64 {
    match (one, two) {
        (0, known) | (known, 0) => known,
        _ => one.min(two),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_on_a_series_does_not_depend_on_the_order() {
        let [old, gone, back] =
            [Presence::Shown(1), Presence::Removed(5), Presence::Shown(9)].map(Marks::from);
        assert!(!old.is_removed() && gone.is_removed());
        assert!(old.join(gone).is_removed() && gone.join(old).is_removed());
        assert_eq!(gone.join(gone), gone);
        assert!(!old.join(gone).join(back).is_removed() && !back.join(gone.join(old)).is_removed());
    }

    #[test]
    fn a_slot_that_was_never_removed_is_shown_since_its_creation() {
        let mut annotations = Annotations { created: vec![0, 7], ..Annotations::default() };
        assert_eq!([0, 1, 2].map(|slot| annotations.presence(slot)), [0, 7, 0].map(Presence::Shown));
        annotations.presence.insert(1, Presence::Removed(8));
        assert!(annotations.is_removed(1) && !annotations.is_removed(0));
    }

    #[test]
    fn an_unknown_time_is_not_early() {
        assert_eq!([earlier(0, 5), earlier(5, 0), earlier(4, 5), earlier(0, 0)], [5, 5, 4, 0]);
    }
}
