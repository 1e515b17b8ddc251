//! `…:folds`: the numbers of the tombstones, so that neither a push nor a reader has to fetch whole tombstones to
//! learn that nothing changed.
//!
//! Type: hash. Field: incarnation, 16 hex digits. Value: the number of the folded push in 20 decimal digits, then `1`
//! if the source ended, else `0`. Written and deleted together with the tombstone.

use super::ShardKeys;

impl ShardKeys {
    /// The numbers of the tombstones.
    pub fn folds(&self) -> String {
        self.key("folds")
    }
}
