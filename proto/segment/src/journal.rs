//! The order journal: one word per slot, in the order that every reader follows.
//!
//! The lowest byte is the slot's kind, the next its flags; above them, Unix milliseconds of the last removal or return
//! of the series. Kind and the first flag are fixed before the word is published; the rest changes in one store.

use metrifold_model::{Kind, Presence};

const PER_WORKER: u64 = 1 << 8;
const REMOVED: u64 = 1 << 9;
/// Was removed, and is shown again.
const RETURNED: u64 = 1 << 10;
const TIME_SHIFT: u32 = 16;
/// Until the year 10889.
const TIME_MAX: u64 = (1 << (64 - TIME_SHIFT)) - 1;

/// One slot's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JournalEntry {
    pub(crate) kind: Kind,
    /// The series ends with its worker.
    pub(crate) per_worker: bool,
    /// Of a series that was ever removed.
    pub(crate) presence: Option<Presence>,
}

impl JournalEntry {
    pub(crate) fn encode(self) -> u64 {
        let (flag, at) = match self.presence {
            None => (0, 0),
            Some(Presence::Removed(at)) => (REMOVED, at),
            Some(Presence::Shown(at)) => (RETURNED, at),
        };
        let per_worker = if self.per_worker { PER_WORKER } else { 0 };
        u64::from(self.kind.code()) | per_worker | flag | at.min(TIME_MAX) << TIME_SHIFT
    }

    /// `None` if the kind is unknown. Unknown flags are left to those who know them.
    pub(crate) fn decode(word: u64) -> Option<JournalEntry> {
        let kind = Kind::from_code(word as u8)?;
        Some(JournalEntry { kind, per_worker: word & PER_WORKER != 0, presence: presence(word) })
    }
}

/// What a word says of the series' presence.
pub(crate) fn presence(word: u64) -> Option<Presence> {
    let at = word >> TIME_SHIFT;
    match (word & REMOVED != 0, word & RETURNED != 0) {
        (true, _) => Some(Presence::Removed(at)),
        (false, true) => Some(Presence::Shown(at)),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_says_what_it_was_made_from() {
        let kinds = Kind::ALL.into_iter().enumerate();
        for (index, kind) in kinds {
            for presence in [None, Some(Presence::Removed(index as u64)), Some(Presence::Shown(TIME_MAX))] {
                let entry = JournalEntry { kind, per_worker: index % 2 == 0, presence };
                assert_eq!(JournalEntry::decode(entry.encode()), Some(entry));
            }
        }
        assert_eq!(JournalEntry::decode(0xff), None);
    }
}
