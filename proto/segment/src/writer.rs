//! One segment, from the side of the process that owns it.
#![expect(unsafe_code, reason = "entries are written as plain bytes before they are published")]

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use metrifold_model::{Descriptor, Kind};

use crate::blocks::{allocate, check_size_limit, grown};
use crate::exemplar::ExemplarCell;
use crate::fork::{FileIdentity, OwnFiles, identity};
use crate::geometry::{
    AREAS, EXEMPLAR_AREA, EXEMPLARS_MAX, Geometry, JOURNAL_AREA, JOURNAL_ENTRY_BYTES, PAGE_BYTES,
};
use crate::header::{ENDED_WORD, INITIALISED_WORD, SegmentHeader};
use crate::mapping::{Cell, Mapping};
use crate::region::{ENTRIES_OFFSET, encode_segment_entry};
use crate::{directory, fork, lock};

/// Why there is no segment, so that a recorder goes on in anonymous memory.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The segment directory cannot be used.
    #[error(transparent)]
    Directory(#[from] directory::DirectoryError),
    /// Namespace, instance and labels do not fit the header.
    #[error(
        "namespace, instance and constant labels together exceed the segment's header of 4 KiB; shorten METRIFOLD_LABELS"
    )]
    HeaderTooLong,
    /// The process may not have files of a segment's (sparse) length.
    #[error(
        "the limit on file size (ulimit -f) is below a segment's sparse length of {bytes} bytes; raise it"
    )]
    FileSizeLimit {
        /// The length that is needed.
        bytes: usize,
    },
    /// The file could not be made, locked, allocated or mapped.
    #[error("{path}: cannot {action}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What failed.
        action: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// No random number for the incarnation.
    #[error("the operating system gives no random numbers: {0}")]
    Random(String),
}

/// Why a segment takes no further slot.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppendError {
    #[error("the region of {} is full", .0.region_name())]
    RegionFull(Kind),
    #[error("no space for another slot: {0}")]
    NoSpace(std::io::Error),
}

/// A mapped, locked and published segment file.
#[derive(Debug)]
pub(crate) struct Segment {
    file: Arc<File>,
    identity: FileIdentity,
    owner_pid: u32,
    path: PathBuf,
    mapping: Mapping,
    geometry: Geometry,
    allocated: [usize; AREAS],
    used: [usize; Kind::ALL.len()],
    slots: usize,
    exemplars: usize,
    /// Whether `create` succeeded; until then the lock of creation is held and must not be asked for.
    is_registered: bool,
}

impl Segment {
    /// Makes the file under a temporary name, locks it, writes the header, and only then gives it the name that readers
    /// look for: whatever they see is locked, or its owner is dead.
    pub(crate) fn create(
        directory: &Path,
        header: &SegmentHeader,
        geometry: Geometry,
        own_files: &mut OwnFiles,
    ) -> Result<Segment, CreateError> {
        let page = header.encode(geometry).ok_or(CreateError::HeaderTooLong)?;
        let bytes = geometry.file_bytes();
        check_size_limit(bytes).map_err(|_| CreateError::FileSizeLimit { bytes })?;
        let path = directory.join(directory::segment_name(header.incarnation));
        let temporary = path.with_extension(directory::TEMPORARY_EXTENSION);
        let mut segment = Self::prepare(&temporary, path.clone(), &page, header.process.pid, geometry)
            .and_then(|segment| match std::fs::rename(&temporary, &path) {
                Ok(()) => Ok(segment),
                Err(source) => Err(CreateError::Io { path, action: "rename the new segment to", source }),
            })
            .inspect_err(|_| drop(std::fs::remove_file(&temporary)))?;
        own_files.add(segment.identity, Arc::clone(&segment.file));
        segment.is_registered = true;
        Ok(segment)
    }

    fn prepare(
        temporary: &Path,
        path: PathBuf,
        page: &[u8],
        owner_pid: u32,
        geometry: Geometry,
    ) -> Result<Segment, CreateError> {
        let failed = |action| {
            let path = temporary.to_path_buf();
            move |source: std::io::Error| CreateError::Io { path, action, source }
        };
        let flags = libc::O_NOFOLLOW;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(flags)
            .open(temporary)
            .map_err(failed("create"))?;
        lock::lock(&file).map_err(failed("lock"))?;
        file.set_len(geometry.file_bytes() as u64).map_err(failed("set the length of"))?;
        allocate(&file, 0, PAGE_BYTES).map_err(failed("allocate the header of"))?;
        let mapping = Mapping::writable(&file, geometry.file_bytes()).map_err(failed("map"))?;
        let identity = identity(&file.metadata().map_err(failed("examine"))?);
        // SAFETY: the file has just been made under a name that nobody reads; the rename publishes it.
        unsafe { mapping.write_unpublished(0, page) };
        Ok(Segment {
            file: Arc::new(file),
            identity,
            owner_pid,
            path,
            mapping,
            geometry,
            allocated: [0; AREAS],
            used: [0; Kind::ALL.len()],
            slots: 0,
            exemplars: 0,
            is_registered: false,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Publishes one more slot, with value 0, this second number and this journal entry, and returns where it stands.
    ///
    /// Order: entry, `used`, journal entry, journal count. Readers begin at the count, so a death in between leaves an
    /// entry that nobody looks for.
    pub(crate) fn append(
        &mut self,
        descriptor: &Descriptor,
        second_number: f64,
        journal_entry: u64,
    ) -> Result<&Cell, AppendError> {
        let area = usize::from(descriptor.kind.code());
        let (entry, value_offset) = encode_segment_entry(descriptor, second_number);
        let start = self.used[area].max(ENTRIES_OFFSET);
        let end = start + entry.len();
        if end > self.geometry.region_bytes {
            return Err(AppendError::RegionFull(descriptor.kind));
        }
        self.reserve(area, end).map_err(AppendError::NoSpace)?;
        self.reserve(JOURNAL_AREA, (self.slots + 2) * JOURNAL_ENTRY_BYTES).map_err(AppendError::NoSpace)?;

        let region = self.geometry.area(area);
        // SAFETY: behind `used`, where no reader looks, and the caller's lock keeps other writers out.
        unsafe { self.mapping.write_unpublished(region + start, &entry) };
        self.mapping.u32(region).store(end as u32, Ordering::Release);
        self.used[area] = end;

        let initialised = 1 << area | 1 << JOURNAL_AREA;
        self.mapping.u64(INITIALISED_WORD).fetch_or(initialised, Ordering::Release);
        self.mark(self.slots, journal_entry);
        self.slots += 1;
        self.mapping.u64(self.geometry.area(JOURNAL_AREA)).store(self.slots as u64, Ordering::Release);
        Ok(self.mapping.cell(region + start + value_offset))
    }

    /// Writes a slot's journal entry: for a slot that is about to be published, or one whose presence changed.
    pub(crate) fn mark(&self, index: usize, journal_entry: u64) {
        self.mapping.u64(self.geometry.journal_entry(index)).store(journal_entry, Ordering::Relaxed);
    }

    /// Publishes one more exemplar cell, for the slot at `index`; `None` if there is no room.
    pub(crate) fn append_exemplar(&mut self, index: usize) -> Option<&ExemplarCell> {
        let end = self.geometry.exemplar_cell(self.exemplars + 1);
        if self.exemplars >= EXEMPLARS_MAX || end > self.geometry.region_bytes {
            return None;
        }
        self.reserve(EXEMPLAR_AREA, end).ok()?;
        let area = self.geometry.area(EXEMPLAR_AREA);
        let cell = area + self.geometry.exemplar_cell(self.exemplars);
        self.mapping.exemplar_cell(cell).assign(index);
        self.exemplars += 1;
        self.mapping.u64(area).store(self.exemplars as u64, Ordering::Release);
        self.mapping.u64(INITIALISED_WORD).fetch_or(1 << EXEMPLAR_AREA, Ordering::Release);
        Some(self.mapping.exemplar_cell(cell))
    }

    fn reserve(&mut self, area: usize, needed: usize) -> std::io::Result<()> {
        let allocated = self.allocated[area];
        if needed <= allocated {
            return Ok(());
        }
        self.check_descriptor()?;
        let length = grown(allocated, needed, self.geometry.region_bytes);
        allocate(&self.file, self.geometry.area(area) + allocated, length - allocated)?;
        self.allocated[area] = length;
        Ok(())
    }

    /// Applications that become daemons close every descriptor, and ours may name another file by now: writing to that
    /// would destroy somebody's data.
    fn check_descriptor(&self) -> std::io::Result<()> {
        match self.file.metadata() {
            Ok(metadata) if identity(&metadata) == self.identity => Ok(()),
            Ok(_) | Err(_) => {
                Err(std::io::Error::other("the application has closed the segment's descriptor"))
            }
        }
    }
}

impl Drop for Segment {
    /// The owner says that the source has ended, although its process lives on. A child that inherited the segment does
    /// not own it. A descriptor that the application has closed is not closed again: its number may be another file's.
    fn drop(&mut self) {
        if self.check_descriptor().is_err() {
            std::mem::forget(Arc::clone(&self.file));
        }
        if self.is_registered && std::process::id() == self.owner_pid {
            self.mapping.u64(ENDED_WORD).store(1, Ordering::Release);
            fork::lock().remove(self.identity);
        }
    }
}
