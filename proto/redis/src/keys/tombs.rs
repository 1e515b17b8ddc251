//! `…:tombs`: folded sources that may come back.
//!
//! Type: hash. Field: incarnation, 16 hex digits. Value: a tombstone blob. Written by folds and restores, deleted by
//! trims after the tombstone lifetime. No expiry: tombstones age by the archive's clock.

use super::ShardKeys;

impl ShardKeys {
    /// The tombstones.
    pub fn tombs(&self) -> String {
        self.key("tombs")
    }
}
