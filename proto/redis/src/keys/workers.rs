//! `…:workers`: who is there, without scanning.
//!
//! Type: sorted set. Member: incarnation, 16 hex digits. Score: when it was last seen, milliseconds of Redis `TIME`.
//! Written by pushes, folds and restores together with the record; a member whose record expired is taken out by the
//! next reader. No expiry.

use super::ShardKeys;

impl ShardKeys {
    /// The sources that have a record.
    pub fn workers(&self) -> String {
        self.key("workers")
    }
}
