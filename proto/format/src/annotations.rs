//! What follows the columns of a values blob from version 2 on: times of creation, then removals, then exemplars.
//!
//! Times of creation: the earliest (8 bytes), count of runs, then per run its length and its time, as variable-length
//! numbers; 0 is not known, else milliseconds after the earliest plus 1. The children of a program are made in few moments,
//! and the slots of a histogram in one, so that a slot costs far less than a byte.

use std::sync::Arc;

use metrifold_model::{Annotations, Exemplar, Presence, limits};

use crate::{
    BlobError,
    bytes::{Reader, Writer},
};

pub(super) fn write_annotations(annotations: &Annotations, writer: &mut Writer) {
    write_created(&annotations.created, writer);
    writer.count(annotations.presence.len());
    for (slot, presence) in &annotations.presence {
        let (is_removed, at) = match presence {
            Presence::Shown(since) => (0, *since),
            Presence::Removed(at) => (1, *at),
        };
        writer.count(*slot);
        writer.u8(is_removed);
        writer.u64(at);
    }
    writer.count(annotations.exemplars.len());
    for (slot, exemplar) in &annotations.exemplars {
        writer.count(*slot);
        write_exemplar(exemplar, writer);
    }
}

pub(super) fn read_annotations(reader: &mut Reader<'_>) -> Result<Annotations, BlobError> {
    let mut annotations = Annotations { created: read_created(reader)?, ..Annotations::default() };
    for _ in 0..reader.count()? {
        let (slot, is_removed, at) = (reader.count()?, reader.u8()?, reader.u64()?);
        let presence = match is_removed {
            0 => Presence::Shown(at),
            1 => Presence::Removed(at),
            _ => return Err(reader.invalid("a slot is neither shown nor removed")),
        };
        annotations.presence.insert(slot, presence);
    }
    for _ in 0..reader.count()? {
        let slot = reader.count()?;
        annotations.exemplars.insert(slot, Arc::new(read_exemplar(reader)?));
    }
    Ok(annotations)
}

pub(super) fn write_exemplar(exemplar: &Exemplar, writer: &mut Writer) {
    writer.f64(exemplar.value);
    writer.f64(exemplar.timestamp);
    writer.labels(&exemplar.labels);
}

pub(super) fn read_exemplar(reader: &mut Reader<'_>) -> Result<Exemplar, BlobError> {
    Ok(Exemplar { value: reader.f64()?, timestamp: reader.f64()?, labels: reader.labels()? })
}

fn write_created(created: &[u64], writer: &mut Writer) {
    let earliest = created.iter().copied().filter(|created| *created > 0).min().unwrap_or(0);
    writer.u64(earliest);
    writer.count(created.chunk_by(|one, two| one == two).count());
    for run in created.chunk_by(|one, two| one == two) {
        writer.variable(run.len() as u64);
        writer.variable(if run[0] == 0 { 0 } else { (run[0] - earliest).saturating_add(1) });
    }
}

fn read_created(reader: &mut Reader<'_>) -> Result<Vec<u64>, BlobError> {
    let mut created = Vec::new();
    let (earliest, runs) = (reader.u64()?, reader.count()?);
    for _ in 0..runs {
        let length = usize::try_from(reader.variable()?).unwrap_or(usize::MAX);
        if created.len().saturating_add(length) > limits::SLOTS_PER_SOURCE_MAX {
            return Err(reader.invalid("it has more slots than a source may have"));
        }
        let time = reader.variable()?.checked_sub(1).map_or(0, |after| earliest.saturating_add(after));
        created.resize(created.len() + length, time);
    }
    Ok(created)
}
