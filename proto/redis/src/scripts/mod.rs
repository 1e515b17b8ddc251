//! The steps that Redis carries out atomically, as Lua beside the code that builds their arguments.
//!
//! Every script declares all keys it touches, and all of them are in one slot.

mod call;
mod commit;
mod head;
mod look;
mod push;
mod restore;
mod run;

pub use call::{ScriptCall, is_noscript};
pub use commit::{AdvanceAge, CommitCall, parse_commit_reply};
pub use head::{STATE_FIELDS, ShardLook};
pub use look::{Dump, Forget, Heads, Look, ShardDump, parse_dump, parse_heads, parse_look};
pub use push::{Judgement, PushScript, PushSettings, parse_push_reply};
pub use restore::{Claim, Restore};
pub use run::RunId;

/// Numbers that scripts compare as text.
fn ordered(number: u64) -> Vec<u8> {
    format!("{number:020}").into_bytes()
}

/// Random ids.
fn hex(id: u64) -> Vec<u8> {
    format!("{id:016x}").into_bytes()
}

fn decimal(number: impl std::fmt::Display) -> Vec<u8> {
    number.to_string().into_bytes()
}

fn flag(is_set: bool) -> Vec<u8> {
    if is_set { b"1".to_vec() } else { b"0".to_vec() }
}

/// The entry of `folds` for a tombstone.
fn fold_entry(tombstone: &metrifold_session::Tombstone) -> Vec<u8> {
    let mut entry = ordered(tombstone.seq.0);
    entry.extend(flag(tombstone.ended));
    entry
}
