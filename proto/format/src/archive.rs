//! Archive blob: letter `A`; count of series, then all series compressed (zstd): kind, variant, family, sample, help,
//! labels, and two numbers: high and low part of a sum, or value and time stamp. In version 2, which is written where any
//! series has them, follow: unit, times of creation, appearance and removal, and 0, or 1 and an exemplar.

use std::sync::Arc;

use metrifold_model::{DoubleDouble, Kind, Marks, SeriesKey};
use metrifold_session::{Archive, Archived, ArchivedSeries};

use crate::{
    BlobError,
    annotations::{read_exemplar, write_exemplar},
    bytes::{FIRST, Reader, SECOND, Writer},
};

const WHAT: &str = "an archive blob";

/// Packs an archive.
pub fn encode_archive(archive: &Archive) -> Vec<u8> {
    let is_annotated =
        archive.series.values().any(|series| *series != ArchivedSeries::new(&series.help, series.value));
    let mut part = Writer::part();
    for (key, series) in &archive.series {
        let (variant, first, second) = parts(series.value);
        part.u8(key.kind.code());
        part.u8(variant);
        part.text(&key.family);
        part.text(&key.sample);
        part.text(&series.help);
        part.labels(&key.labels);
        part.f64(first);
        part.f64(second);
        if is_annotated {
            write_details(series, &mut part);
        }
    }
    let mut writer = Writer::blob(b'A', if is_annotated { SECOND } else { FIRST });
    writer.count(archive.series.len());
    writer.packed(part);
    writer.finish()
}

/// Reads what [`encode_archive`] wrote; nothing at all stands for an empty archive.
pub fn decode_archive(bytes: &[u8]) -> Result<Archive, BlobError> {
    let mut archive = Archive::default();
    if bytes.is_empty() {
        return Ok(archive);
    }
    let (mut reader, version) = Reader::blob(WHAT, b'A', SECOND, bytes)?;
    let count = reader.count()?;
    let part = reader.unpacked()?;
    let mut entries = Reader::part(WHAT, &part);
    for _ in 0..count {
        let (key, mut series) = read_series(&mut entries)?;
        if version == SECOND {
            read_details(&mut series, &mut entries)?;
        }
        archive.series.insert(key, series);
    }
    entries.end()?;
    reader.end()?;
    Ok(archive)
}

fn parts(value: Archived) -> (u8, f64, f64) {
    match value {
        Archived::Sum(sum) => (0, sum.parts().0, sum.parts().1),
        Archived::Min(value) => (1, value, 0.0),
        Archived::Max(value) => (2, value, 0.0),
        Archived::MostRecent { value, timestamp } => (3, value, timestamp),
    }
}

fn read_series(reader: &mut Reader<'_>) -> Result<(SeriesKey, ArchivedSeries), BlobError> {
    let kind = Kind::from_code(reader.u8()?).ok_or_else(|| reader.invalid("a kind is unknown"))?;
    let variant = reader.u8()?;
    let (family, sample, help) = (reader.text()?, reader.text()?, reader.text()?);
    let labels = reader.labels()?;
    let (first, second) = (reader.f64()?, reader.f64()?);
    let value = match variant {
        0 => Archived::Sum(DoubleDouble::from_parts(first, second)),
        1 => Archived::Min(first),
        2 => Archived::Max(first),
        3 => Archived::MostRecent { value: first, timestamp: second },
        _ => return Err(reader.invalid("a way of merging is unknown")),
    };
    Ok((SeriesKey { family, kind, sample, labels }, ArchivedSeries::new(help, value)))
}

fn write_details(series: &ArchivedSeries, part: &mut Writer) {
    part.text(&series.unit);
    part.u64(series.created);
    part.u64(series.marks.shown);
    part.u64(series.marks.removed);
    part.u8(u8::from(series.exemplar.is_some()));
    if let Some(exemplar) = &series.exemplar {
        write_exemplar(exemplar, part);
    }
}

fn read_details(series: &mut ArchivedSeries, reader: &mut Reader<'_>) -> Result<(), BlobError> {
    series.unit = reader.text()?;
    series.created = reader.u64()?;
    series.marks = Marks { shown: reader.u64()?, removed: reader.u64()? };
    series.exemplar = match reader.u8()? {
        0 => None,
        1 => Some(Arc::new(read_exemplar(reader)?)),
        _ => return Err(reader.invalid("a flag is neither 0 nor 1")),
    };
    Ok(())
}
