//! Reading a shard.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use metrifold_model::{Incarnation, Namespace};
use metrifold_session::{Archive, Part, Record, Tombstone};

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
pub fn parse_heads<B: AsRef<[u8]>>(
    reply: &[B],
) -> impl Iterator<Item = Result<Option<RecordHead>, ReplyError>> {
    reply.chunks(RECORD_HEADS.len()).map(decode_record_head)
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
        // What is no incarnation is none of ours.
        look.incarnations.extend(incarnation(fields.text()?));
    }
    Ok(look)
}

/// Everything in a shard.
#[derive(Clone, Debug)]
pub struct ShardDump {
    /// The head. Without the list of who has a record.
    pub look: ShardLook,
    /// The folded sums.
    pub archive: Archive,
    /// Folded sources.
    pub tombstones: BTreeMap<Incarnation, Arc<Tombstone>>,
    /// Live sources.
    pub records: BTreeMap<Incarnation, (RecordHead, Arc<Record>)>,
    /// What could not be read, and why.
    pub unreadable: BTreeMap<Part, Arc<str>>,
}

/// Reads the reply of a [`Dump`] of the records of `incarnations`.
pub fn parse_dump<B: AsRef<[u8]>>(
    reply: &[B],
    incarnations: &[Incarnation],
) -> Result<ShardDump, ReplyError> {
    let mut fields = Fields::new(reply);
    let mut unreadable = BTreeMap::new();
    let mut set_aside = |part, error: ReplyError| drop(unreadable.insert(part, error.to_string().into()));
    let look = head::read(&mut fields)?;
    let archive = decode_archive(fields.bytes()?).unwrap_or_else(|error| {
        set_aside(Part::Archive, error.into());
        Archive::default()
    });
    let mut tombstones = BTreeMap::new();
    for _ in 0..fields.number()? {
        let (name, blob) = (fields.text()?, fields.bytes()?);
        let Ok(incarnation) = incarnation(name) else { continue };
        match decode_tombstone(blob) {
            Ok(tombstone) => drop(tombstones.insert(incarnation, Arc::new(tombstone))),
            Err(error) => set_aside(Part::Tombstone(incarnation), error.into()),
        }
    }
    let mut records = BTreeMap::new();
    for incarnation in incarnations {
        let mut record = Vec::with_capacity(RECORD_FIELDS.len());
        for _ in RECORD_FIELDS {
            record.push(fields.bytes()?);
        }
        match decode_record(&record, |_| None) {
            Ok(None) => {}
            Ok(Some((head, record))) => drop(records.insert(*incarnation, (head, Arc::new(record)))),
            Err(error) => set_aside(Part::Record(*incarnation), error),
        }
    }
    Ok(ShardDump { look, archive, tombstones, records, unreadable })
}

fn incarnation(text: &str) -> Result<Incarnation, ReplyError> {
    text.parse().map_err(|_| ReplyError::Unexpected("an incarnation is not hexadecimal"))
}
