//! `…:archive`: the shard's head and the folded sums.
//!
//! | field | holds |
//! | --- | --- |
//! | `epoch` | random id of the contents, 16 hex digits; missing before the shard was first opened |
//! | `run` | `run_id` of the Redis process that the shard was opened or sealed on |
//! | `sealed` | `0` open, `1` sealed, `2` closed for a moment by a restorer that found it open |
//! | `restorer` | random token of the restorer at work |
//! | `changed` | when it was opened, restored or sealed, milliseconds of Redis `TIME` |
//! | `settling` | `1` if nothing is folded for a while after `changed` |
//! | `counter` | folds and trims so far |
//! | `version` | random id of the archive's contents, 16 hex digits |
//! | `age` | the age clock, milliseconds |
//! | `shards` | how many shards the namespace has |
//! | `blob` | the sums, an archive blob |
//!
//! Type: hash. Written by commits, age clock and restores; sealed by whoever notices another run id. No expiry: the
//! sums are for ever.

use super::ShardKeys;

impl ShardKeys {
    /// The head and the sums.
    pub fn archive(&self) -> String {
        self.key("archive")
    }
}
