//! Descriptor blob: letter `D`; how many descriptors come before it, how many it has, the hash of the list up to its
//! end, then its descriptors compressed (zstd). A list is one or more of them, one after another, so that a script can
//! append to it without understanding it.
//!
//! In version 2, which is written where any descriptor has one, a unit follows the labels of each.
//!
//! A blob may begin within the one before it: the descriptors that both have are the same.

use std::sync::Arc;

use metrifold_model::{Descriptor, DescriptorHash, DescriptorList, Kind, limits};

use crate::{
    BlobError,
    bytes::{FIRST, HEADER_BYTES, Reader, SECOND, Writer},
};

const WHAT: &str = "a descriptor blob";
/// Header, `from`, count, hash, length before and after compression.
const FIXED_BYTES: usize = HEADER_BYTES + 4 + 4 + 8 + 4 + 4;

/// Packs `entries`, which come after `from` others; `hash` covers all up to their end.
pub fn encode_descriptors(from: usize, entries: &[Arc<Descriptor>], hash: DescriptorHash) -> Vec<u8> {
    let has_units = entries.iter().any(|descriptor| !descriptor.unit.is_empty());
    let mut part = Writer::part();
    for descriptor in entries {
        part.u8(descriptor.kind.code());
        part.u8(u8::from(descriptor.per_worker));
        part.text(&descriptor.family);
        part.text(&descriptor.sample);
        part.text(&descriptor.help);
        part.labels(&descriptor.labels);
        if has_units {
            part.text(&descriptor.unit);
        }
    }
    let mut writer = Writer::blob(b'D', if has_units { SECOND } else { FIRST });
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
    if ![FIRST, SECOND].iter().any(|version| bytes.starts_with(&[b'D', *version])) {
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
    let (mut reader, version) = Reader::blob(WHAT, b'D', SECOND, blob)?;
    let (from, count, hash) = (reader.count()?, reader.count()?, DescriptorHash(reader.u64()?));
    if from.saturating_add(count) > limits::SLOTS_PER_SOURCE_MAX {
        return Err(reader.invalid("it has more slots than a source may have"));
    }
    let known =
        list.len().checked_sub(from).ok_or_else(|| reader.invalid("descriptors before it are missing"))?;
    let part = reader.unpacked()?;
    let mut entries = Reader::part(WHAT, &part);
    for index in 0..count {
        let descriptor = read_descriptor(&mut entries, version)?;
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

fn read_descriptor(reader: &mut Reader<'_>, version: u8) -> Result<Descriptor, BlobError> {
    let kind = Kind::from_code(reader.u8()?).ok_or_else(|| reader.invalid("a kind is unknown"))?;
    let per_worker = match reader.u8()? {
        0 => false,
        1 => true,
        _ => return Err(reader.invalid("a flag is neither 0 nor 1")),
    };
    let (family, sample, help) = (reader.text()?, reader.text()?, reader.text()?);
    let labels = reader.labels()?;
    let unit = if version == SECOND { reader.text()? } else { String::new() };
    Ok(Descriptor { per_worker, unit, ..Descriptor::new(kind, family, sample, labels, help) })
}
