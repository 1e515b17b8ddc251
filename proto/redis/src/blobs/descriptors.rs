//! Descriptor blob: letter `D`; how many descriptors come before it, how many it has, the hash of the list up to its
//! end, then its descriptors compressed (zstd). A list is one or more of them, one after another, so that a script can
//! append to it without understanding it.
//!
//! A blob may begin within the one before it: the descriptors that both have are the same.

use std::sync::Arc;

use metrifold_model::{Descriptor, DescriptorHash, DescriptorList, Kind, limits};

use super::{
    BlobError,
    bytes::{HEADER_BYTES, Reader, VERSION, Writer},
};

const WHAT: &str = "a descriptor blob";
/// Header, `from`, count, hash, length before and after compression.
const FIXED_BYTES: usize = HEADER_BYTES + 4 + 4 + 8 + 4 + 4;

/// Packs `entries`, which come after `from` others; `hash` covers all up to their end.
pub fn encode_descriptors(from: usize, entries: &[Arc<Descriptor>], hash: DescriptorHash) -> Vec<u8> {
    let mut part = Writer::part();
    for descriptor in entries {
        part.u8(descriptor.kind.code());
        part.u8(u8::from(descriptor.per_worker));
        part.text(&descriptor.family);
        part.text(&descriptor.sample);
        part.text(&descriptor.help);
        part.labels(&descriptor.labels);
    }
    let mut writer = Writer::blob(b'D');
    writer.count(from);
    writer.count(entries.len());
    writer.u64(hash.0);
    writer.packed(part);
    writer.finish()
}

/// Reads a list of blobs that [`encode_descriptors`] wrote; nothing at all stands for an empty list.
pub fn decode_descriptors(mut bytes: &[u8]) -> Result<DescriptorList, BlobError> {
    let mut list = DescriptorList::default();
    while !bytes.is_empty() {
        let blob = first_blob(bytes)?;
        append(&mut list, blob)?;
        bytes = &bytes[blob.len()..];
    }
    Ok(list)
}

fn first_blob(bytes: &[u8]) -> Result<&[u8], BlobError> {
    if !bytes.starts_with(&[b'D', VERSION]) {
        // The reader names what is wrong. A later version may be shorter than this one.
        return Ok(bytes);
    }
    let fixed = bytes.get(..FIXED_BYTES).ok_or(BlobError::Truncated { what: WHAT })?;
    let mut length = [0; 4];
    length.copy_from_slice(&fixed[FIXED_BYTES - 4..]);
    let end = FIXED_BYTES.saturating_add(u32::from_le_bytes(length) as usize);
    bytes.get(..end).ok_or(BlobError::Truncated { what: WHAT })
}

fn append(list: &mut DescriptorList, blob: &[u8]) -> Result<(), BlobError> {
    let mut reader = Reader::blob(WHAT, b'D', blob)?;
    let (from, count, hash) = (reader.count()?, reader.count()?, DescriptorHash(reader.u64()?));
    if from.saturating_add(count) > limits::SLOTS_PER_SOURCE_MAX {
        return Err(reader.invalid("it has more slots than a source may have"));
    }
    let known =
        list.len().checked_sub(from).ok_or_else(|| reader.invalid("descriptors before it are missing"))?;
    let part = reader.unpacked()?;
    let mut entries = Reader::part(WHAT, &part);
    for index in 0..count {
        let descriptor = read_descriptor(&mut entries)?;
        if index >= known {
            list.push(descriptor);
        }
    }
    entries.end()?;
    if list.hash_of_first(from + count) != Some(hash) {
        return Err(reader.invalid("its hash does not fit its descriptors"));
    }
    reader.end()
}

fn read_descriptor(reader: &mut Reader<'_>) -> Result<Descriptor, BlobError> {
    let kind = Kind::from_code(reader.u8()?).ok_or_else(|| reader.invalid("a kind is unknown"))?;
    let per_worker = match reader.u8()? {
        0 => false,
        1 => true,
        _ => return Err(reader.invalid("a flag is neither 0 nor 1")),
    };
    let (family, sample, help) = (reader.text()?, reader.text()?, reader.text()?);
    Ok(Descriptor { per_worker, ..Descriptor::new(kind, family, sample, reader.labels()?, help) })
}
