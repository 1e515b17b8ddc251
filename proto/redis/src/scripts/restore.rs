//! Opening a shard again.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use metrifold_model::{Epoch, Incarnation, Namespace};
use metrifold_session::{Record, ShardSnapshot};

use super::{PushSettings, ScriptCall, ShardLook, call::Source, decimal, flag, fold_entry, hex, ordered};
use crate::keys::ShardKeys;
use metrifold_format::{encode_archive, encode_descriptors, encode_tombstone, encode_values, encode_worker};

static CLAIM: LazyLock<Source> =
    LazyLock::new(|| Source::new(concat!(include_str!("check.lua"), include_str!("claim.lua"))));
static RESTORE: LazyLock<Source> =
    LazyLock::new(|| Source::new(concat!(include_str!("check.lua"), include_str!("restore.lua"))));

/// The first step of a restore: closes the shard, so that what the restorer then reads cannot change under it.
#[derive(Clone, Copy, Debug)]
pub struct Claim;

impl Claim {
    /// The call that closes the shard if it still is as `look` shows; `token` is random and names the restorer. Read
    /// its reply by [`parse_commit_reply`](super::parse_commit_reply).
    pub fn call(namespace: &Namespace, shard: u16, look: &ShardLook, token: u64, shards: u16) -> ScriptCall {
        let keys = vec![ShardKeys::new(namespace, shard).archive()];
        let mut args = look.seen.to_vec();
        args.extend([hex(token), decimal(shards)]);
        ScriptCall::new(&CLAIM, keys, args)
    }
}

/// The last step of a restore.
#[derive(Clone, Copy, Debug)]
pub struct Restore<'a> {
    /// What the shard held after the claim.
    pub before: &'a ShardSnapshot,
    /// What it is to hold, with its new epoch and version.
    pub after: &'a ShardSnapshot,
    /// The token of the claim.
    pub token: u64,
}

impl Restore<'_> {
    /// The call that turns `before` into `after` and opens the shard, if nobody else has claimed it since and Redis
    /// was not restarted. Read its reply by [`parse_commit_reply`](super::parse_commit_reply).
    pub fn call(&self, namespace: &Namespace, shard: u16, settings: PushSettings) -> ScriptCall {
        let (before, after) = (self.before, self.after);
        let shard = ShardKeys::new(namespace, shard);
        let written: BTreeMap<_, _> =
            after.records.iter().filter(|(incarnation, record)| self.is_new(**incarnation, record)).collect();
        let dropped: Vec<_> = before.records.keys().filter(|one| !after.records.contains_key(one)).collect();
        let new_archive = before.archive != after.archive;
        let new_tombstones = before.tombstones != after.tombstones;
        let tombstones = if new_tombstones { after.tombstones.len() } else { 0 };

        let mut keys = vec![shard.archive(), shard.workers(), shard.tombs(), shard.folds()];
        let touched = written.keys().chain(&dropped);
        keys.extend(
            touched.flat_map(|incarnation| [shard.record(**incarnation), shard.values(**incarnation)]),
        );
        let mut args = vec![
            hex(self.token),
            hex(after.head.epoch.unwrap_or(Epoch(0)).0),
            hex(after.head.version),
            decimal(after.head.counter),
            decimal(after.head.age.0),
            decimal(settings.shards),
            decimal(settings.expiry.as_millis()),
            flag(new_archive),
            if new_archive { encode_archive(&after.archive) } else { Vec::new() },
            flag(new_tombstones),
            decimal(tombstones),
            decimal(written.len()),
        ];
        for (incarnation, tombstone) in after.tombstones.iter().take(tombstones) {
            args.extend([name(*incarnation), fold_entry(tombstone), encode_tombstone(tombstone)]);
        }
        for (incarnation, record) in written {
            args.push(name(*incarnation));
            args.extend(record_args(record));
        }
        args.extend(dropped.into_iter().map(|incarnation| name(*incarnation)));
        ScriptCall::new(&RESTORE, keys, args)
    }

    fn is_new(&self, incarnation: Incarnation, record: &Arc<Record>) -> bool {
        self.before.records.get(&incarnation) != Some(record)
    }
}

fn name(incarnation: Incarnation) -> Vec<u8> {
    incarnation.to_string().into_bytes()
}

/// A record's fields in the order of [`RECORD_FIELDS`](crate::RECORD_FIELDS).
fn record_args(record: &Record) -> [Vec<u8>; 11] {
    let list = &record.descriptors;
    let descriptors = match list.is_empty() {
        true => Vec::new(),
        false => encode_descriptors(0, list.entries(), list.hash()),
    };
    [
        ordered(record.seq.0),
        hex(record.epoch.0),
        decimal(record.seen.0),
        flag(record.ended),
        decimal(list.len()),
        list.hash().0.to_le_bytes().into(),
        ordered(record.seq.0),
        encode_worker(&record.worker),
        descriptors,
        encode_values(&record.values),
        encode_values(&record.base),
    ]
}
