//! Values blob: letter `V`; count of slots, count of time stamps, then both columns of `f64`; in version 2, which is
//! written where there are any, annotations follow.

use metrifold_model::{Values, limits};

use crate::{
    BlobError,
    annotations::{read_annotations, write_annotations},
    bytes::{FIRST, Reader, SECOND, Writer},
};

const WHAT: &str = "a values blob";

/// Packs values.
pub fn encode_values(values: &Values) -> Vec<u8> {
    let annotations = &values.annotations;
    let mut writer = Writer::blob(b'V', if annotations.is_empty() { FIRST } else { SECOND });
    writer.count(values.slots.len());
    writer.count(values.timestamps.len());
    values.slots.iter().chain(&values.timestamps).for_each(|value| writer.f64(*value));
    if !annotations.is_empty() {
        write_annotations(annotations, &mut writer);
    }
    writer.finish()
}

/// Reads what [`encode_values`] wrote; nothing at all stands for no values.
pub fn decode_values(bytes: &[u8]) -> Result<Values, BlobError> {
    if bytes.is_empty() {
        return Ok(Values::default());
    }
    let (mut reader, version) = Reader::blob(WHAT, b'V', SECOND, bytes)?;
    let (slots, timestamps) = (reader.count()?, reader.count()?);
    if slots.max(timestamps) > limits::SLOTS_PER_SOURCE_MAX {
        return Err(reader.invalid("it has more slots than a source may have"));
    }
    let mut values = Values::new(reader.column(slots)?, reader.column(timestamps)?);
    if version == SECOND {
        values.annotations = read_annotations(&mut reader)?;
    }
    reader.end()?;
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_the_bytes_that_earlier_versions_wrote() {
        let values = Values::new(vec![1.0, -0.0], vec![2.5]);
        let golden: &[u8] = &[
            b'V', 1, 0, 0, 0xe5, 0xcb, 0xec, 0xcc, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0,
            0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 4, 0x40,
        ];
        assert_eq!(encode_values(&values), golden);
        assert_eq!(decode_values(golden), Ok(values));
    }
}
