//! Reading a shard.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use metrifold_model::{Incarnation, Namespace};
use metrifold_session::{Archive, Record, Tombstone};

use super::{ScriptCall, ShardLook, call::Source, head};
use crate::{
    RECORD_FIELDS, RECORD_HEADS, RecordHead, ReplyError, decode_record, decode_record_head, keys::ShardKeys,
    reply::Fields,
};
use metrifold_format::{decode_archive, decode_tombstone};

static LOOK: LazyLock<Source> = LazyLock::new(|| {
    Source::new(concat!(include_str!("check.lua"), include_str!("head.lua"), include_str!("look.lua")))
});
static HEADS: LazyLock<Source> = LazyLock::new(|| Source::new(include_str!("heads.lua")));
static DUMP: LazyLock<Source> = LazyLock::new(|| {
    Source::new(concat!(include_str!("check.lua"), include_str!("head.lua"), include_str!("dump.lua")))
});
static FORGET: LazyLock<Source> = LazyLock::new(|| Source::new(include_str!("forget.lua")));

/// Reads the head and who has a record.
#[derive(Clone, Copy, Debug)]
pub struct Look;

impl Look {
    /// The call. Read its reply by [`parse_look`].
    pub fn call(namespace: &Namespace, shard: u16) -> ScriptCall {
        let shard = ShardKeys::new(namespace, shard);
        ScriptCall::new(&LOOK, vec![shard.archive(), shard.workers()], Vec::new())
    }
}

/// Reads the small fields of many records.
#[derive(Clone, Copy, Debug)]
pub struct Heads;

impl Heads {
    /// The call for the records of `incarnations`. Read its reply by [`parse_heads`].
    pub fn call(namespace: &Namespace, shard: u16, incarnations: &[Incarnation]) -> ScriptCall {
        let shard = ShardKeys::new(namespace, shard);
        let keys = incarnations.iter().map(|incarnation| shard.record(*incarnation)).collect();
        ScriptCall::new(&HEADS, keys, Vec::new())
    }
}

/// Reads the reply of [`Heads`]: one per incarnation, in order; `None` for one without a record.
pub fn parse_heads<B: AsRef<[u8]>>(reply: &[B]) -> Result<Vec<Option<RecordHead>>, ReplyError> {
    reply.chunks(RECORD_HEADS.len()).map(decode_record_head).collect()
}

/// Reads the whole shard in one step, for when commits come faster than it can be read in parts.
#[derive(Clone, Copy, Debug)]
pub struct Dump;

impl Dump {
    /// The call for a shard whose records are those of `incarnations`. Read its reply by [`parse_dump`].
    pub fn call(namespace: &Namespace, shard: u16, incarnations: &[Incarnation]) -> ScriptCall {
        let shard = ShardKeys::new(namespace, shard);
        let mut keys = vec![shard.archive(), shard.tombs()];
        keys.extend(incarnations.iter().flat_map(|one| [shard.record(*one), shard.values(*one)]));
        ScriptCall::new(&DUMP, keys, Vec::new())
    }
}

/// Takes a source whose record expired out of the list.
#[derive(Clone, Copy, Debug)]
pub struct Forget;

impl Forget {
    /// The call. Its reply is `1` if the source was taken out by it.
    pub fn call(namespace: &Namespace, shard: u16, incarnation: Incarnation) -> ScriptCall {
        let shard = ShardKeys::new(namespace, shard);
        let keys = vec![shard.workers(), shard.record(incarnation)];
        ScriptCall::new(&FORGET, keys, vec![incarnation.to_string().into_bytes()])
    }
}

/// Reads the reply of a [`Look`].
pub fn parse_look<B: AsRef<[u8]>>(reply: &[B]) -> Result<ShardLook, ReplyError> {
    let mut fields = Fields::new(reply);
    let mut look = head::read(&mut fields)?;
    while !fields.is_empty() {
        look.incarnations.push(incarnation(fields.text()?)?);
    }
    Ok(look)
}

/// Everything in a shard.
pub type ShardDump = (
    ShardLook,
    Archive,
    BTreeMap<Incarnation, Arc<Tombstone>>,
    BTreeMap<Incarnation, (RecordHead, Arc<Record>)>,
);

/// Reads the reply of a [`Dump`] of the records of `incarnations`.
pub fn parse_dump<B: AsRef<[u8]>>(
    reply: &[B],
    incarnations: &[Incarnation],
) -> Result<ShardDump, ReplyError> {
    let mut fields = Fields::new(reply);
    let look = head::read(&mut fields)?;
    let archive = decode_archive(fields.bytes()?)?;
    let mut tombstones = BTreeMap::new();
    for _ in 0..fields.number()? {
        let incarnation = incarnation(fields.text()?)?;
        tombstones.insert(incarnation, Arc::new(decode_tombstone(fields.bytes()?)?));
    }
    let mut records = BTreeMap::new();
    for incarnation in incarnations {
        let mut record = Vec::with_capacity(RECORD_FIELDS.len());
        for _ in RECORD_FIELDS {
            record.push(fields.bytes()?);
        }
        if let Some((head, record)) = decode_record(&record, |_| None)? {
            records.insert(*incarnation, (head, Arc::new(record)));
        }
    }
    Ok((look, archive, tombstones, records))
}

fn incarnation(text: &str) -> Result<Incarnation, ReplyError> {
    text.parse().map_err(|_| ReplyError::Unexpected("an incarnation is not hexadecimal"))
}
