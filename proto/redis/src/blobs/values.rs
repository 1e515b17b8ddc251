//! Values blob: letter `V`; count of slots, count of time stamps, then both columns of `f64`.

use metrifold_model::{Values, limits};

use super::{
    BlobError,
    bytes::{Reader, Writer},
};

const WHAT: &str = "a values blob";

/// Packs values.
pub fn encode_values(values: &Values) -> Vec<u8> {
    let mut writer = Writer::blob(b'V');
    writer.count(values.slots.len());
    writer.count(values.timestamps.len());
    values.slots.iter().chain(&values.timestamps).for_each(|value| writer.f64(*value));
    writer.finish()
}

/// Reads what [`encode_values`] wrote; nothing at all stands for no values.
pub fn decode_values(bytes: &[u8]) -> Result<Values, BlobError> {
    if bytes.is_empty() {
        return Ok(Values::default());
    }
    let mut reader = Reader::blob(WHAT, b'V', bytes)?;
    let (slots, timestamps) = (reader.count()?, reader.count()?);
    if slots.max(timestamps) > limits::SLOTS_PER_SOURCE_MAX {
        return Err(reader.invalid("it has more slots than a source may have"));
    }
    let values = Values { slots: reader.column(slots)?, timestamps: reader.column(timestamps)? };
    reader.end()?;
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_the_bytes_that_earlier_versions_wrote() {
        let values = Values { slots: vec![1.0, -0.0], timestamps: vec![2.5] };
        let golden: &[u8] = &[
            b'V', 1, 0, 0, 0xe5, 0xcb, 0xec, 0xcc, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0,
            0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 4, 0x40,
        ];
        assert_eq!(encode_values(&values), golden);
        assert_eq!(decode_values(golden), Ok(values));
    }
}
