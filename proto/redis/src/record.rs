//! A record as the fields of its hash.

use std::sync::Arc;

use metrifold_model::{DescriptorHash, DescriptorList, Epoch, Seq};
use metrifold_session::{Instant, Record};

use crate::{ReplyError, reply::Fields};
use metrifold_format::{BlobError, decode_descriptors, decode_values, decode_worker};

/// The fields that tell whether a record changed, in the order that [`decode_record_head`] expects.
pub const RECORD_HEADS: [&str; 7] = ["seq", "epoch", "seen", "ended", "dn", "dh", "vs"];

/// All fields of a record, in the order that [`decode_record`] expects.
pub const RECORD_FIELDS: [&str; 11] =
    ["seq", "epoch", "seen", "ended", "dn", "dh", "vs", "worker", "d", "v", "base"];

/// The place of the values in [`RECORD_FIELDS`]. Where a reply has [`STAGED`](crate::keys::STAGED) there, the reader puts
/// in its place what it finds under [`ShardKeys::values`](crate::keys::ShardKeys::values) at the same `vs`.
pub const RECORD_VALUES: usize = 9;

/// The place of `vs` in [`RECORD_FIELDS`] and in [`RECORD_HEADS`].
pub const RECORD_VALUES_SEQ: usize = 6;

/// The small fields of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHead {
    /// The last push.
    pub seq: Seq,
    /// The epoch in which it arrived.
    pub epoch: Epoch,
    /// When it arrived.
    pub seen: Instant,
    /// The source has said that it ended.
    pub ended: bool,
    /// Count of descriptors.
    pub descriptors_count: u64,
    /// Their hash.
    pub descriptors_hash: DescriptorHash,
    /// The push that brought the values.
    pub values_seq: Seq,
}

/// Reads the reply to `HMGET <record>` of [`RECORD_HEADS`]; `None` if there is no such record.
pub fn decode_record_head<B: AsRef<[u8]>>(reply: &[B]) -> Result<Option<RecordHead>, ReplyError> {
    if reply.first().is_none_or(|seq| seq.as_ref().is_empty()) {
        return Ok(None);
    }
    head(&mut Fields::new(reply)).map(Some)
}

/// Reads the reply to `HMGET <record>` of [`RECORD_FIELDS`]; `None` if there is no such record. `known` may give the
/// descriptors of this count and hash, if the caller has them, so that they need be neither fetched nor unpacked.
pub fn decode_record<B: AsRef<[u8]>>(
    reply: &[B],
    known: impl FnOnce(&RecordHead) -> Option<DescriptorList>,
) -> Result<Option<(RecordHead, Record)>, ReplyError> {
    if reply.first().is_none_or(|seq| seq.as_ref().is_empty()) {
        return Ok(None);
    }
    let mut fields = Fields::new(reply);
    let head = head(&mut fields)?;
    let worker = Arc::new(decode_worker(fields.bytes()?)?);
    let packed = fields.bytes()?;
    let descriptors = match known(&head) {
        Some(list) => list,
        None => decode_descriptors(packed)?,
    };
    let record = Record {
        seq: head.seq,
        epoch: head.epoch,
        seen: head.seen,
        ended: head.ended,
        worker,
        descriptors,
        values: decode_values(fields.bytes()?)?,
        base: decode_values(fields.bytes()?)?,
    };
    let named = (head.descriptors_count, head.descriptors_hash);
    if (record.descriptors.len() as u64, record.descriptors.hash()) != named {
        let why = "its descriptors are not those it names";
        return Err(BlobError::Invalid { what: "a record", why }.into());
    }
    Ok(Some((head, record)))
}

fn head<B: AsRef<[u8]>>(fields: &mut Fields<'_, B>) -> Result<RecordHead, ReplyError> {
    Ok(RecordHead {
        seq: Seq(fields.number()?),
        epoch: Epoch(fields.id()?.unwrap_or_default()),
        seen: Instant(fields.number()?),
        ended: fields.bytes()? == b"1",
        descriptors_count: fields.number()?,
        descriptors_hash: hash(fields.bytes()?)?,
        values_seq: Seq(fields.number()?),
    })
}

fn hash(bytes: &[u8]) -> Result<DescriptorHash, ReplyError> {
    let array = <[u8; 8]>::try_from(bytes).map_err(|_| ReplyError::Unexpected("a hash has not 8 bytes"))?;
    Ok(DescriptorHash(u64::from_le_bytes(array)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_their_fields() {
        assert_eq!((RECORD_FIELDS[RECORD_VALUES], RECORD_FIELDS[RECORD_VALUES_SEQ]), ("v", "vs"));
        assert_eq!(RECORD_FIELDS[..RECORD_HEADS.len()], RECORD_HEADS);
    }
}
