//! A segment, from the side of whoever pushes its values on.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use metrifold_model::{Descriptor, DescriptorList, Kind, Values};

use crate::annotate::annotate;
use crate::directory::segment_name;
use crate::fork;
use crate::geometry::{
    EXEMPLAR_AREA, EXEMPLARS_MAX, Geometry, JOURNAL_AREA, JOURNAL_ENTRY_BYTES, PAGE_BYTES, SLOTS_MAX,
};
use crate::header::{ENDED_WORD, HeaderError, INITIALISED_WORD, SegmentHeader};
use crate::journal::{self, JournalEntry};
use crate::lock::is_locked_by_another;
use crate::mapping::Mapping;
use crate::region::{ENTRIES_OFFSET, RegionError, parse_entry};

/// Why a segment cannot be read. Nothing that a file may hold leads to a panic or a signal.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// The file could not be opened, read or mapped.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no segment, or one of another version.
    #[error("{path}: not a readable segment: {source}")]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: HeaderError,
    },
    /// The file's length is not what its header says.
    #[error("{path}: {found} bytes long instead of {expected}; the file is truncated")]
    Length {
        /// The file.
        path: PathBuf,
        /// What the header asks for.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// The journal or a region contradicts itself.
    #[error("{path}: corrupt: {what}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// An entry is damaged.
    #[error("{path}: region of {}: {source}", kind.region_name())]
    Region {
        /// The file.
        path: PathBuf,
        /// Which region.
        kind: Kind,
        /// What is wrong.
        source: RegionError,
    },
}

/// Whether a segment's owner lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// Somebody holds the lock, or the process runs although it has lost its lock.
    Alive,
    /// Nobody holds the lock, and no process of this pid and start time can be seen; or the source ended itself.
    LockGone,
}

/// Reads one segment: what it is, and again and again what it holds.
///
/// Descriptors are read as copies; values are loaded from the mapping, each as it was before or after any update. Only what
/// the writer has published is touched: touching a hole of a tmpfs file would allocate it.
#[derive(Debug)]
pub struct SegmentReader {
    path: PathBuf,
    file: Arc<File>,
    mapping: Mapping,
    geometry: Geometry,
    header: SegmentHeader,
    descriptors: DescriptorList,
    /// Where each slot's value stands.
    cells: Vec<usize>,
    /// How far each region has been read.
    read: [usize; Kind::ALL.len()],
}

impl SegmentReader {
    /// Opens a segment and reads its header. A process may read its own segment.
    pub fn open(path: impl Into<PathBuf>) -> Result<SegmentReader, SegmentError> {
        let path = path.into();
        let (file, header, geometry) = open_segment(&path, false)?;
        let mapping = Mapping::read_only(&file, geometry.file_bytes())
            .map_err(|source| SegmentError::Io { path: path.clone(), source })?;
        Ok(SegmentReader {
            path,
            file,
            mapping,
            geometry,
            header,
            descriptors: DescriptorList::default(),
            cells: Vec::new(),
            read: [ENTRIES_OFFSET; Kind::ALL.len()],
        })
    }

    /// Whose segment it is.
    pub fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the owner lives.
    pub fn liveness(&self) -> Result<Liveness, SegmentError> {
        liveness(&self.header, &self.file).map_err(|source| self.io(source))
    }

    /// Reads what has been published since the last call, and all values. After an error the segment is not usable; what
    /// was read before stays in [`SegmentReader::descriptors`].
    pub fn refresh(&mut self) -> Result<(&DescriptorList, Values), SegmentError> {
        check_length(&self.path, &self.file, self.geometry)?;
        let slots = self.published_slots()?;
        if slots > self.cells.len() {
            self.read_descriptors(slots)?;
        }
        let mut values = self.load_values();
        self.load_exemplars(&mut values)?;
        Ok((&self.descriptors, values))
    }

    /// The descriptors known so far.
    pub fn descriptors(&self) -> &DescriptorList {
        &self.descriptors
    }

    fn load_values(&self) -> Values {
        let mut values = Values::from_slots(Vec::with_capacity(self.cells.len()));
        for (index, (descriptor, offset)) in self.descriptors.iter().zip(&self.cells).enumerate() {
            let (value, timestamp) = self.mapping.cell(*offset).get_stamped();
            values.slots.push(value);
            if descriptor.kind.is_timestamped() {
                values.timestamps.push(timestamp);
            }
            let word = self.mapping.u64(self.geometry.journal_entry(index)).load(Ordering::Relaxed);
            annotate(&mut values.annotations, index, descriptor.kind, timestamp, journal::presence(word));
        }
        values
    }

    fn load_exemplars(&self, values: &mut Values) -> Result<(), SegmentError> {
        if !self.is_initialised(EXEMPLAR_AREA) {
            return Ok(());
        }
        let area = self.geometry.area(EXEMPLAR_AREA);
        self.check_backed(area, self.geometry.exemplar_cell(0))?;
        let count = self.mapping.u64(area).load(Ordering::Acquire);
        let cells = usize::try_from(count).ok().filter(|cells| *cells <= EXEMPLARS_MAX);
        let Some(cells) =
            cells.filter(|cells| self.geometry.exemplar_cell(*cells) <= self.geometry.region_bytes)
        else {
            return Err(self.corrupt(format!(
                "{count} exemplars are said to be there (exemplars_per_source_max {EXEMPLARS_MAX})"
            )));
        };
        self.check_backed(area, self.geometry.exemplar_cell(cells))?;
        for index in 0..cells {
            let cell = self.mapping.exemplar_cell(area + self.geometry.exemplar_cell(index));
            let slot = usize::try_from(cell.slot()).ok().filter(|slot| *slot < values.slots.len());
            let exemplar = slot.and_then(|slot| Some((slot, Arc::new(cell.read()?))));
            values.annotations.exemplars.extend(exemplar);
        }
        Ok(())
    }

    fn published_slots(&self) -> Result<usize, SegmentError> {
        if !self.is_initialised(JOURNAL_AREA) {
            return Ok(self.cells.len());
        }
        let journal = self.geometry.area(JOURNAL_AREA);
        self.check_backed(journal, JOURNAL_ENTRY_BYTES)?;
        let count = self.mapping.u64(journal).load(Ordering::Acquire);
        match usize::try_from(count) {
            Ok(slots) if (self.cells.len()..=SLOTS_MAX).contains(&slots) => Ok(slots),
            _ => Err(self.corrupt(format!(
                "the journal says {count} slots after {} (slots_per_source_max {SLOTS_MAX})",
                self.cells.len()
            ))),
        }
    }

    fn read_descriptors(&mut self, slots: usize) -> Result<(), SegmentError> {
        let first = self.cells.len();
        let mut regions: [Option<Region>; Kind::ALL.len()] = Default::default();
        // Later reads go through the mapping.
        self.check_backed(self.geometry.area(JOURNAL_AREA), (slots + 1) * JOURNAL_ENTRY_BYTES)?;
        let journal =
            self.read_bytes(self.geometry.journal_entry(first), (slots - first) * JOURNAL_ENTRY_BYTES)?;
        let (words, _) = journal.as_chunks::<JOURNAL_ENTRY_BYTES>();
        for word in words.iter().map(|bytes| u64::from_ne_bytes(*bytes)) {
            let JournalEntry { kind, per_worker, .. } = JournalEntry::decode(word)
                .ok_or_else(|| self.corrupt(format!("the journal names kind {}", word as u8)))?;
            let code = usize::from(kind.code());
            let region = match &mut regions[code] {
                Some(region) => region,
                unread => unread.insert(self.read_region(kind)?),
            };
            let (descriptor, value_offset) = region.next(kind).map_err(|source| SegmentError::Region {
                path: self.path.clone(),
                kind,
                source,
            })?;
            self.read[code] = region.start + region.next_entry;
            self.descriptors.push(Descriptor { per_worker, ..descriptor });
            self.cells.push(self.geometry.area(code) + region.start + value_offset);
        }
        Ok(())
    }

    /// The part of a region that is used and has not been read.
    fn read_region(&self, kind: Kind) -> Result<Region, SegmentError> {
        let code = usize::from(kind.code());
        let area = self.geometry.area(code);
        let start = self.read[code];
        let corrupt =
            |used| self.corrupt(format!("the region of {} says {used} bytes are used", kind.region_name()));
        if !self.is_initialised(code) {
            return Err(corrupt(0));
        }
        self.check_backed(area, ENTRIES_OFFSET)?;
        let used = self.mapping.u32(area).load(Ordering::Acquire) as usize;
        if used <= start || used > self.geometry.region_bytes || !used.is_multiple_of(8) {
            return Err(corrupt(used));
        }
        self.check_backed(area + start, used - start)?;
        Ok(Region { bytes: self.read_bytes(area + start, used - start)?, start, next_entry: 0 })
    }

    fn is_initialised(&self, area: usize) -> bool {
        self.mapping.u64(INITIALISED_WORD).load(Ordering::Acquire) & 1 << area != 0
    }

    fn read_bytes(&self, offset: usize, length: usize) -> Result<Vec<u8>, SegmentError> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset as u64).map_err(|source| self.io(source))?;
        Ok(bytes)
    }

    /// Refuses a range that is a hole although the writer says that it wrote it. Only on tmpfs, where a read through the
    /// mapping would allocate the hole, or kill the reader if the file system is full.
    fn check_backed(&self, offset: usize, length: usize) -> Result<(), SegmentError> {
        match is_backed(&self.file, offset as u64, length as u64) {
            Ok(true) => Ok(()),
            Ok(false) => {
                Err(self.corrupt(format!("bytes {offset} to {} were never written", offset + length)))
            }
            Err(source) => Err(self.io(source)),
        }
    }

    fn io(&self, source: std::io::Error) -> SegmentError {
        SegmentError::Io { path: self.path.clone(), source }
    }

    fn corrupt(&self, what: String) -> SegmentError {
        SegmentError::Corrupt { path: self.path.clone(), what }
    }
}

/// A part of a region, copied.
struct Region {
    bytes: Vec<u8>,
    start: usize,
    next_entry: usize,
}

impl Region {
    /// The next descriptor, and its value's offset from `start`.
    fn next(&mut self, kind: Kind) -> Result<(Descriptor, usize), RegionError> {
        let (entry, next) = parse_entry(&self.bytes, self.next_entry, kind)?;
        self.next_entry = next;
        Ok((entry.descriptor, entry.value_offset))
    }
}

/// Opens a segment's file and reads its header.
pub(crate) fn open_segment(
    path: &Path,
    write: bool,
) -> Result<(Arc<File>, SegmentHeader, Geometry), SegmentError> {
    let failed = |source| SegmentError::Io { path: path.into(), source };
    let file = fork::open(path, write).map_err(failed)?;
    let mut page = [0; PAGE_BYTES];
    match file.read_exact_at(&mut page, 0) {
        Ok(()) => (),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            let found = file.metadata().map_err(failed)?.len();
            return Err(SegmentError::Length { path: path.into(), expected: PAGE_BYTES as u64, found });
        }
        Err(error) => return Err(failed(error)),
    }
    let (header, geometry) =
        SegmentHeader::decode(&page).map_err(|source| SegmentError::Header { path: path.into(), source })?;
    check_length(path, &file, geometry)?;
    Ok((file, header, geometry))
}

fn check_length(path: &Path, file: &File, geometry: Geometry) -> Result<(), SegmentError> {
    let found = file.metadata().map_err(|source| SegmentError::Io { path: path.into(), source })?.len();
    let expected = geometry.file_bytes() as u64;
    match found == expected {
        true => Ok(()),
        false => Err(SegmentError::Length { path: path.into(), expected, found }),
    }
}

/// Whether the owner of an open segment lives.
pub(crate) fn liveness(header: &SegmentHeader, file: &File) -> std::io::Result<Liveness> {
    let mut ended = [0; 8];
    file.read_exact_at(&mut ended, ENDED_WORD as u64)?;
    if ended != [0; 8] {
        return Ok(Liveness::LockGone);
    }
    let is_alive = fork::is_own(fork::identity(&file.metadata()?))
        || is_locked_by_another(file)?
        // Its application may have closed the descriptor, and the lock with it. But another program that the process has become
        // since has nothing of it.
        || header.process.is_running() && header.process.may_map(&segment_name(header.incarnation));
    Ok(if is_alive { Liveness::Alive } else { Liveness::LockGone })
}

#[cfg(target_os = "linux")]
fn is_backed(file: &File, offset: u64, length: u64) -> std::io::Result<bool> {
    const TMPFS_MAGIC: u64 = 0x0102_1994;
    if rustix::fs::fstatfs(file)?.f_type as u64 != TMPFS_MAGIC {
        return Ok(true);
    }
    // Moves the descriptor's position, which nothing here uses: all other access is positioned.
    let hole = rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(offset))?;
    Ok(hole >= offset + length)
}

#[cfg(not(target_os = "linux"))]
fn is_backed(_file: &File, _offset: u64, _length: u64) -> std::io::Result<bool> {
    Ok(true)
}
