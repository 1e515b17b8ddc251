//! `…:w:<incarnation>`: one live source.
//!
//! | field | holds |
//! | --- | --- |
//! | `seq` | number of the last push, 20 decimal digits, so that text order is number order |
//! | `epoch` | the epoch in which it arrived, 16 hex digits |
//! | `seen` | when it arrived, milliseconds of Redis `TIME` |
//! | `ended` | `1` if the source has said that it ended, else `0` |
//! | `worker` | identity, a worker blob |
//! | `dn`, `dh` | count of descriptors, and their hash (8 bytes, little endian) |
//! | `d` | descriptors: descriptor blobs one after another, in order of arrival |
//! | `vs` | number of the push that brought `v`, as `seq`: equal `vs`, equal values, base and worker |
//! | `v` | values, a values blob, or [`STAGED`](super::STAGED); missing while only the first push has come |
//! | `base` | what the archive holds of these values, a values blob; missing if nothing |
//!
//! Type: hash. Written by the push script and by a restore, deleted by a fold. Lifetime: until folded; as a safety net
//! for when no server role runs it expires [`PushSettings::expiry`](crate::PushSettings::expiry) after its last push.

use metrifold_model::Incarnation;

use super::ShardKeys;

impl ShardKeys {
    /// The record of a source.
    pub fn record(&self, incarnation: Incarnation) -> String {
        self.key(&format!("w:{incarnation}"))
    }
}
