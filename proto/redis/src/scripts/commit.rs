//! Folds, trims and the age clock.

use std::sync::LazyLock;

use metrifold_model::Namespace;
use metrifold_session::{Commit, Instant};

use super::{ScriptCall, call::Source, decimal, fold_entry, hex, ordered};
use crate::{ReplyError, keys::ShardKeys, reply::Fields};
use metrifold_format::{encode_archive, encode_tombstone};

static COMMIT: LazyLock<Source> =
    LazyLock::new(|| Source::new(concat!(include_str!("check.lua"), include_str!("commit.lua"))));
static ADVANCE_AGE: LazyLock<Source> =
    LazyLock::new(|| Source::new(concat!(include_str!("check.lua"), include_str!("advance_age.lua"))));

/// Carries out folds and trims.
#[derive(Clone, Copy, Debug)]
pub struct CommitCall;

impl CommitCall {
    /// The call for one commit; `version` is random. Read its reply by [`parse_commit_reply`].
    pub fn call(namespace: &Namespace, shard: u16, commit: &Commit, version: u64) -> ScriptCall {
        let shard = ShardKeys::new(namespace, shard);
        let mut keys = vec![shard.archive(), shard.workers(), shard.tombs(), shard.folds()];
        let mut args = vec![
            hex(commit.expected_version),
            hex(version),
            encode_archive(&commit.archive),
            decimal(commit.trimmed.len()),
            decimal(commit.discarded.len()),
        ];
        args.extend(commit.trimmed.iter().map(|incarnation| incarnation.to_string().into_bytes()));
        for (incarnation, seq, tombstone) in &commit.folded {
            keys.extend([shard.record(*incarnation), shard.values(*incarnation)]);
            args.extend([
                incarnation.to_string().into_bytes(),
                ordered(seq.0),
                fold_entry(tombstone),
                encode_tombstone(tombstone),
            ]);
        }
        for incarnation in &commit.discarded {
            keys.extend([shard.record(*incarnation), shard.values(*incarnation)]);
            args.push(incarnation.to_string().into_bytes());
        }
        ScriptCall::new(&COMMIT, keys, args)
    }
}

/// Advances the age clock.
#[derive(Clone, Copy, Debug)]
pub struct AdvanceAge;

impl AdvanceAge {
    /// The call that sets the clock to `age` if it stands at `expected`. Read its reply by [`parse_commit_reply`].
    pub fn call(namespace: &Namespace, shard: u16, expected: Instant, age: Instant) -> ScriptCall {
        let keys = vec![ShardKeys::new(namespace, shard).archive()];
        ScriptCall::new(&ADVANCE_AGE, keys, vec![decimal(expected.0), decimal(age.0)])
    }
}

/// Reads the reply of a compare-and-set: whether it was done.
pub fn parse_commit_reply<B: AsRef<[u8]>>(reply: &[B]) -> Result<bool, ReplyError> {
    match Fields::new(reply).text()? {
        "committed" => Ok(true),
        "conflict" => Ok(false),
        _ => Err(ReplyError::Unexpected("an unknown answer to a commit")),
    }
}
