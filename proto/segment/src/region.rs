//! prometheus_client's `.db` layout: one region of entries, each a key and two doubles.
//!
//! All numbers in native byte order: `i32 used`, four bytes of padding, then entries up to `used`. An entry is
//! `i32 key_len`, the JSON key, 1 to 8 spaces up to a multiple of 8, `f64 value`, `f64 timestamp` (Unix seconds).

use metrifold_model::{Descriptor, Kind, Values};

use crate::key::{decode_key, encode_key, encode_segment_key};

/// Where a region's first entry begins; also the smallest `used` that prometheus_client writes.
pub(crate) const ENTRIES_OFFSET: usize = 8;
/// Value and time stamp.
const NUMBERS_BYTES: usize = 16;
const KEY_LENGTH_BYTES: usize = 4;

/// One entry of a region.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What the entry names.
    pub descriptor: Descriptor,
    /// The value.
    pub value: f64,
    /// Unix seconds; 0.0 = none.
    pub timestamp: f64,
    /// Where the value stands in the parsed bytes; the time stamp follows it.
    pub value_offset: usize,
}

/// Why bytes are not a region.
#[derive(Debug, thiserror::Error)]
pub enum RegionError {
    /// Fewer bytes than the region's own header says.
    #[error(
        "the region says that {used} bytes are used but only {available} are there; the file is truncated or corrupt"
    )]
    Truncated {
        /// What the first four bytes say.
        used: i64,
        /// What was given.
        available: usize,
    },
    /// An entry reaches beyond the used part.
    #[error("the entry at byte {offset} reaches beyond the used {used} bytes; the file is corrupt")]
    BeyondUsed {
        /// Where the entry begins.
        offset: usize,
        /// What the region says.
        used: usize,
    },
    /// A key that is not `[family, sample, {labels}, help]`.
    #[error("the key of the entry at byte {offset} is not a metric's name ({source}); the file is corrupt")]
    Key {
        /// Where the entry begins.
        offset: usize,
        /// What the JSON parser says.
        source: serde_json::Error,
    },
}

/// The bytes of a new entry as prometheus_client writes them, both numbers 0.0, and the value's offset in them.
pub fn encode_entry(descriptor: &Descriptor) -> (Vec<u8>, usize) {
    encode(encode_key(descriptor), 0.0)
}

/// The same for a segment: with a unit, and with a second number.
pub(crate) fn encode_segment_entry(descriptor: &Descriptor, second_number: f64) -> (Vec<u8>, usize) {
    encode(encode_segment_key(descriptor), second_number)
}

fn encode(key: String, second_number: f64) -> (Vec<u8>, usize) {
    let padding = 8 - (key.len() + KEY_LENGTH_BYTES) % 8;
    let value_offset = KEY_LENGTH_BYTES + key.len() + padding;
    let mut bytes = Vec::with_capacity(value_offset + NUMBERS_BYTES);
    // Keys are bounded by the limits of names, labels and help: far below i32::MAX.
    bytes.extend_from_slice(&(key.len() as u32).to_ne_bytes());
    bytes.extend_from_slice(key.as_bytes());
    bytes.resize(value_offset, b' ');
    bytes.resize(value_offset + NUMBERS_BYTES / 2, 0);
    bytes.extend_from_slice(&second_number.to_ne_bytes());
    (bytes, value_offset)
}

/// Reads a whole region, `used` included. Never panics, whatever the bytes.
pub fn parse_region(bytes: &[u8], kind: Kind) -> Result<Vec<Entry>, RegionError> {
    let used = used_bytes(bytes, bytes.len())?;
    let mut entries = Vec::new();
    let mut offset = ENTRIES_OFFSET;
    while offset < used {
        let (entry, next) = parse_entry(&bytes[..used], offset, kind)?;
        entries.push(entry);
        offset = next;
    }
    Ok(entries)
}

/// How many of a region's `available` bytes are in use, by its first ones: `used` itself included; 0 for a file that was
/// just made.
pub(crate) fn used_bytes(head: &[u8], available: usize) -> Result<usize, RegionError> {
    let truncated = |used| RegionError::Truncated { used, available };
    let used = read_i32(head, 0).ok_or(truncated(ENTRIES_OFFSET as i64))?;
    match usize::try_from(used) {
        Ok(used) if used <= available && (used == 0 || used >= ENTRIES_OFFSET) => Ok(used),
        _ => Err(truncated(i64::from(used))),
    }
}

/// Reads the entry at `offset`, and says where the next one begins. `bytes` ends where the used part ends.
pub(crate) fn parse_entry(bytes: &[u8], offset: usize, kind: Kind) -> Result<(Entry, usize), RegionError> {
    let (RawEntry { key, value, timestamp }, value_offset) = raw_entry(bytes, offset)?;
    let descriptor = decode_key(kind, key).map_err(|source| RegionError::Key { offset, source })?;
    Ok((Entry { descriptor, value, timestamp, value_offset }, value_offset + NUMBERS_BYTES))
}

/// One entry of a region, its key not decoded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RawEntry<'a> {
    /// What [`decode_key`] reads.
    pub key: &'a [u8],
    /// The value.
    pub value: f64,
    /// Unix seconds; 0.0 = none.
    pub timestamp: f64,
}

/// The entries of a whole region, for readers that know most keys already. Ends with the first damaged one.
pub fn raw_entries(bytes: &[u8]) -> impl Iterator<Item = Result<RawEntry<'_>, RegionError>> {
    let (mut used, mut damage) = match used_bytes(bytes, bytes.len()) {
        Ok(used) => (&bytes[..used], None),
        Err(error) => (&[][..], Some(error)),
    };
    let mut offset = ENTRIES_OFFSET;
    std::iter::from_fn(move || {
        if let Some(error) = damage.take() {
            return Some(Err(error));
        }
        if offset >= used.len() {
            return None;
        }
        let read = raw_entry(used, offset);
        match &read {
            Ok((_, value_offset)) => offset = value_offset + NUMBERS_BYTES,
            Err(_) => used = &[],
        }
        Some(read.map(|(entry, _)| entry))
    })
}

/// Reads the entry at `offset`, and says where its value stands.
fn raw_entry(bytes: &[u8], offset: usize) -> Result<(RawEntry<'_>, usize), RegionError> {
    let beyond = || RegionError::BeyondUsed { offset, used: bytes.len() };
    let key_length = read_i32(bytes, offset).ok_or_else(beyond)?;
    let key_length = usize::try_from(key_length).map_err(|_| beyond())?;
    let key_offset = offset + KEY_LENGTH_BYTES;
    let key_end = key_offset.checked_add(key_length).ok_or_else(beyond)?;
    let value_offset = key_end + (8 - (key_length + KEY_LENGTH_BYTES) % 8);
    let value = read_f64(bytes, value_offset).ok_or_else(beyond)?;
    let timestamp = read_f64(bytes, value_offset + 8).ok_or_else(beyond)?;
    let key = bytes.get(key_offset..key_end).ok_or_else(beyond)?;
    Ok((RawEntry { key, value, timestamp }, value_offset))
}

/// Entries as the model's columns: a time stamp only for kinds that have one.
pub(crate) fn columns(entries: &[Entry]) -> Values {
    let stamped = entries.iter().filter(|entry| entry.descriptor.kind.is_timestamped());
    Values::new(
        entries.iter().map(|entry| entry.value).collect(),
        stamped.map(|entry| entry.timestamp).collect(),
    )
}

fn read_i32(bytes: &[u8], offset: usize) -> Option<i32> {
    bytes.get(offset..)?.first_chunk().copied().map(i32::from_ne_bytes)
}

fn read_f64(bytes: &[u8], offset: usize) -> Option<f64> {
    bytes.get(offset..)?.first_chunk().copied().map(f64::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use metrifold_model::Labels;
    use proptest::prelude::*;

    use super::*;

    fn region(descriptors: &[Descriptor]) -> Vec<u8> {
        let mut bytes = vec![0; ENTRIES_OFFSET];
        for descriptor in descriptors {
            bytes.extend(encode_entry(descriptor).0);
        }
        let used = bytes.len() as u32;
        bytes[..4].copy_from_slice(&used.to_ne_bytes());
        bytes
    }

    fn req() -> Descriptor {
        let labels = Labels::new([("a", "1"), ("b", "2")]);
        Descriptor::new(Kind::Counter, "req", "req_total", labels, "Requests \u{e9}")
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn a_region_has_the_bytes_that_prometheus_client_writes() {
        let mut golden = vec![0x60, 0, 0, 0, 0, 0, 0, 0, 0x3d, 0, 0, 0];
        golden.extend_from_slice(br#"["req", "req_total", {"a": "1", "b": "2"}, "Requests \u00e9"]"#);
        golden.extend_from_slice(b"       ");
        golden.extend_from_slice(&3.0_f64.to_le_bytes());
        golden.extend_from_slice(&0.0_f64.to_le_bytes());

        let mut ours = region(&[req()]);
        ours[80..88].copy_from_slice(&3.0_f64.to_ne_bytes());
        assert_eq!(ours, golden);

        let entry = Entry { descriptor: req(), value: 3.0, timestamp: 0.0, value_offset: 80 };
        assert_eq!(parse_region(&golden, Kind::Counter).expect("golden"), [entry]);
    }

    #[test]
    fn a_fresh_file_has_no_entries() {
        assert!(parse_region(&[0; 64], Kind::Counter).expect("zeros").is_empty());
        assert!(parse_region(&region(&[]), Kind::Counter).expect("used = 8").is_empty());
    }

    #[test]
    fn damage_is_named() {
        let good = region(&[req()]);
        let error = parse_region(&good[..50], Kind::Counter).expect_err("truncated");
        assert!(matches!(error, RegionError::Truncated { used: 96, available: 50 }), "{error}");
        let mut long_key = good.clone();
        long_key[8] = 0xff;
        let error = parse_region(&long_key, Kind::Counter).expect_err("key too long");
        assert!(matches!(error, RegionError::BeyondUsed { offset: 8, used: 96 }), "{error}");
        let mut bad_key = good;
        bad_key[12] = b'x';
        let error = parse_region(&bad_key, Kind::Counter).expect_err("no JSON");
        assert!(matches!(error, RegionError::Key { offset: 8, .. }), "{error}");
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..256), plausible: bool) {
            if plausible && bytes.len() >= 12 {
                let used = bytes.len() as u32;
                bytes[..4].copy_from_slice(&used.to_ne_bytes());
                bytes[9..12].fill(0);
            }
            let _ = parse_region(&bytes, Kind::Counter);
        }

        #[test]
        fn damaged_regions_never_panic(cut in 0_usize..200, at in 0_usize..200, to: u8) {
            let mut bytes = region(&[req(), req()]);
            if let Some(byte) = bytes.get_mut(at) {
                *byte = to;
            }
            bytes.truncate(cut);
            let parsed = parse_region(&bytes, Kind::Counter);
            let raw: Result<Vec<_>, _> = raw_entries(&bytes).collect();
            // The same entries, except that their keys are not looked at.
            if let (Ok(parsed), Ok(raw)) = (&parsed, &raw) {
                prop_assert_eq!(parsed.len(), raw.len());
            }
            prop_assert!(parsed.is_err() || raw.is_ok());
        }
    }
}
