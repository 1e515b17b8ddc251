//! Tombstone blob: letter `T`; number and age clock of the fold, whether the source ended, the lengths of the three
//! blobs at its end, count and hash of the descriptors, then worker, descriptor and values blobs. A script cuts it
//! into these without understanding them.

use std::sync::Arc;

use metrifold_model::Seq;
use metrifold_session::{Instant, Tombstone};

use crate::{
    BlobError,
    bytes::{FIRST, Reader, Writer},
    decode_descriptors, decode_values, decode_worker, encode_descriptors, encode_values, encode_worker,
};

const WHAT: &str = "a tombstone blob";

/// Packs a tombstone.
pub fn encode_tombstone(tombstone: &Tombstone) -> Vec<u8> {
    let list = &tombstone.descriptors;
    let worker = encode_worker(&tombstone.worker);
    let descriptors = match list.is_empty() {
        true => Vec::new(),
        false => encode_descriptors(0, list.entries(), list.hash()),
    };
    let values = encode_values(&tombstone.values);
    let mut writer = Writer::blob(b'T', FIRST);
    writer.u64(tombstone.seq.0);
    writer.u64(tombstone.folded.0);
    writer.count(usize::from(tombstone.ended));
    for part in [&worker, &descriptors, &values] {
        writer.count(part.len());
    }
    writer.count(list.len());
    writer.u64(list.hash().0);
    for part in [&worker, &descriptors, &values] {
        writer.raw(part);
    }
    writer.finish()
}

/// Reads what [`encode_tombstone`] wrote.
pub fn decode_tombstone(bytes: &[u8]) -> Result<Tombstone, BlobError> {
    let (mut reader, _) = Reader::blob(WHAT, b'T', FIRST, bytes)?;
    let (seq, folded, ended) = (Seq(reader.u64()?), Instant(reader.u64()?), reader.count()?);
    let (worker, descriptors, values) = (reader.count()?, reader.count()?, reader.count()?);
    let (count, hash) = (reader.count()?, reader.u64()?);
    let tombstone = Tombstone {
        seq,
        folded,
        ended: ended == 1,
        worker: Arc::new(decode_worker(reader.raw(worker)?)?),
        descriptors: decode_descriptors(reader.raw(descriptors)?)?,
        values: decode_values(reader.raw(values)?)?,
    };
    if (tombstone.descriptors.len(), tombstone.descriptors.hash().0) != (count, hash) {
        return Err(reader.invalid("its descriptors are not those it names"));
    }
    reader.end()?;
    Ok(tombstone)
}
