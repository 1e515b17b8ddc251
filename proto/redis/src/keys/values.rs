//! `…:v:<incarnation>` and `…:s:<incarnation>:<seq>`: the values of a source that has very many.
//!
//! A script handles every byte of its arguments again and again, on the one thread that Redis has. Values of more than
//! [`PushSettings::stage_above`](crate::PushSettings::stage_above) slots are therefore set by a plain `SET` in the same
//! pipeline, at a key that carries the number of their push, and the push script renames it if it accepts the push. The
//! record's field `v` then holds [`STAGED`] instead of a blob.
//!
//! Type: string, a values blob. `s:` is written by whoever pushes and expires after [`STAGE_EXPIRY`], unless the push
//! script renames it; `v:` is written by that script only, and deleted by a fold or a restore, which writes the values
//! into the record itself. It expires like the record.

use std::time::Duration;

use metrifold_model::{Incarnation, Seq};

use super::ShardKeys;

/// What a record's field `v` holds if the values are kept beside it.
pub const STAGED: &[u8] = b"@";

/// How long values wait for the script that was sent right behind them.
pub const STAGE_EXPIRY: Duration = Duration::from_secs(60);

impl ShardKeys {
    /// The values that belong to a record.
    pub fn values(&self, incarnation: Incarnation) -> String {
        self.key(&format!("v:{incarnation}"))
    }

    /// The values that come with a push.
    pub fn stage(&self, incarnation: Incarnation, seq: Seq) -> String {
        self.key(&format!("s:{incarnation}:{:020}", seq.0))
    }
}
