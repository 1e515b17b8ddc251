//! Files that prometheus_client itself wrote: `counter_123.db`, `gauge_livesum_123.db`, ...

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use metrifold_model::{DescriptorList, Kind, Values, limits};

use crate::{
    geometry::SLOTS_MAX,
    region::{ENTRIES_OFFSET, Entry, RegionError, columns, parse_entry, parse_region, used_bytes},
};

/// One of prometheus_client's files, read at one moment.
///
/// prometheus_client updates value and time stamp with a plain 16-byte store, so a file read while its owner writes may
/// show a new value with an old time stamp; its own collector has the same view.
#[derive(Clone, Debug)]
pub struct DbFile {
    /// Type and gauge mode, from the file's name.
    pub kind: Kind,
    /// The process identifier from the file's name: a pid unless the application chose another.
    pub process: String,
    /// The file's entries in order.
    pub descriptors: DescriptorList,
    /// Their values.
    pub values: Values,
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The name does not follow prometheus_client's pattern.
    #[error(
        "{path}: not named like a file of prometheus_client, such as counter_123.db or gauge_livesum_123.db"
    )]
    Name {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Entries that were there are gone: something else writes the file.
    #[error("{path}: {from} bytes were used and now {to} are; prometheus_client never does that")]
    Shrunk {
        /// The file.
        path: PathBuf,
        /// Bytes used before.
        from: usize,
        /// Bytes used now.
        to: usize,
    },
    /// The contents are damaged; the file's other-kind siblings may be fine.
    #[error("{path}: {source}")]
    Region {
        /// The file.
        path: PathBuf,
        /// What is damaged.
        source: RegionError,
    },
}

/// Kind and process identifier of a file name such as `gauge_livesum_123.db`; `None` for other names.
pub fn parse_file_name(name: &str) -> Option<(Kind, &str)> {
    let stem = name.strip_suffix(".db")?;
    Kind::ALL.into_iter().filter(|kind| kind.has_files()).find_map(|kind| {
        let process = stem.strip_prefix(kind.region_name())?.strip_prefix('_')?;
        (!process.is_empty()).then_some((kind, process))
    })
}

/// Reads one of prometheus_client's files.
pub fn read_file(path: impl AsRef<Path>) -> Result<DbFile, DbError> {
    let path = path.as_ref();
    let name = path.file_name().and_then(|name| name.to_str());
    let (kind, process) =
        name.and_then(parse_file_name).ok_or_else(|| DbError::Name { path: path.into() })?;
    let bytes = std::fs::read(path).map_err(|source| DbError::Io { path: path.into(), source })?;
    let entries =
        parse_region(&bytes, kind).map_err(|source| DbError::Region { path: path.into(), source })?;
    let values = columns(&entries);
    let descriptors = entries.into_iter().map(|entry| entry.descriptor).collect();
    Ok(DbFile { kind, process: process.to_owned(), descriptors, values })
}

/// Tells a file from a later one of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DbIdentity {
    /// The file's inode.
    pub inode: u64,
    /// When the inode was made, in nanoseconds since 1970; 0 where the file system does not tell.
    pub born: u64,
}

/// Reads one file of prometheus_client again and again while its process writes it.
///
/// By positioned reads and never through a mapping: whatever somebody does to the file, shortening it included, is an
/// error code and not a signal. The open file goes on to show what its process writes after the file lost its name.
#[derive(Debug)]
pub struct DbReader {
    path: PathBuf,
    file: File,
    kind: Kind,
    identity: DbIdentity,
    descriptors: DescriptorList,
    /// Where each slot's value stands.
    cells: Vec<usize>,
    /// How far the file has been parsed.
    parsed: usize,
    left_out: Option<LeftOut>,
}

/// The entries of a file that no store takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// How many there are.
    pub count: usize,
    /// The sample of the first.
    pub sample: String,
    /// What is wrong with it, or the limit that it would break.
    pub reason: String,
}

impl DbReader {
    /// Opens a file by its path, whose name says what it holds.
    pub fn open(path: impl Into<PathBuf>) -> Result<DbReader, DbError> {
        let path = path.into();
        let name = path.file_name().and_then(|name| name.to_str());
        let Some((kind, _)) = name.and_then(parse_file_name) else {
            return Err(DbError::Name { path });
        };
        DbReader::open_as(path, kind)
    }

    /// Opens a file that does not have its name any more.
    pub fn open_as(path: PathBuf, kind: Kind) -> Result<DbReader, DbError> {
        let opened = File::open(&path).and_then(|file| Ok((identity(&file.metadata()?), file)));
        match opened {
            Ok((identity, file)) => Ok(DbReader {
                path,
                file,
                kind,
                identity,
                descriptors: DescriptorList::default(),
                cells: Vec::new(),
                parsed: ENTRIES_OFFSET,
                left_out: None,
            }),
            Err(source) => Err(DbError::Io { path, source }),
        }
    }

    /// Which file it is.
    pub fn identity(&self) -> DbIdentity {
        self.identity
    }

    /// The file's device and inode, as a mapping of it shows them.
    pub fn device_and_inode(&self) -> std::io::Result<(u64, u64)> {
        self.file.metadata().map(|metadata| (metadata.dev(), metadata.ino()))
    }

    /// Whether the file has no length yet: the first thing that its process gives it.
    pub fn is_empty(&self) -> Result<bool, DbError> {
        let metadata = self.file.metadata();
        let length = metadata.map_err(|source| DbError::Io { path: self.path.clone(), source })?.len();
        Ok(length == 0)
    }

    /// Reads all entries and values. After an error, what was read before stands, and reading may be tried again.
    pub fn refresh(&mut self) -> Result<(&DescriptorList, Values), DbError> {
        let bytes = self.read_used()?;
        let mut offset = self.parsed;
        while offset < bytes.len() {
            let (entry, next) =
                parse_entry(&bytes, offset, self.kind).map_err(|source| self.damaged(source))?;
            self.take(entry);
            offset = next;
            self.parsed = next;
        }
        let mut values = Values::new(Vec::with_capacity(self.cells.len()), Vec::new());
        for cell in &self.cells {
            // Within the used part, which only grows, or `read_used` would have refused it.
            values.slots.push(number(&bytes, *cell));
            if self.kind.is_timestamped() {
                values.timestamps.push(number(&bytes, cell + 8));
            }
        }
        Ok((&self.descriptors, values))
    }

    /// What of the file is left out; the rest is read as if that were not there.
    pub fn left_out(&self) -> Option<&LeftOut> {
        self.left_out.as_ref()
    }

    fn take(&mut self, entry: Entry) {
        let reason = match entry.descriptor.check() {
            Err(error) => error.to_string(),
            Ok(()) if self.cells.len() >= SLOTS_MAX => "limit slots_per_source_max".to_owned(),
            Ok(()) => {
                self.descriptors.push(entry.descriptor);
                self.cells.push(entry.value_offset);
                return;
            }
        };
        let sample = || entry.descriptor.sample.chars().take(limits::NAME_BYTES_MAX).collect();
        self.left_out.get_or_insert_with(|| LeftOut { count: 0, sample: sample(), reason }).count += 1;
    }

    /// The used part of the file, its length included.
    fn read_used(&self) -> Result<Vec<u8>, DbError> {
        let io = |source| DbError::Io { path: self.path.clone(), source };
        let available = usize::try_from(self.file.metadata().map_err(io)?.len()).unwrap_or(usize::MAX);
        let mut head = [0; ENTRIES_OFFSET];
        let head_bytes = available.min(ENTRIES_OFFSET);
        self.file.read_exact_at(&mut head[..head_bytes], 0).map_err(io)?;
        let used = used_bytes(&head[..head_bytes], available).map_err(|source| self.damaged(source))?;
        if used < self.parsed && self.parsed > ENTRIES_OFFSET {
            return Err(DbError::Shrunk { path: self.path.clone(), from: self.parsed, to: used });
        }
        let mut bytes = vec![0; used];
        self.file.read_exact_at(&mut bytes, 0).map_err(io)?;
        Ok(bytes)
    }

    fn damaged(&self, source: RegionError) -> DbError {
        DbError::Region { path: self.path.clone(), source }
    }
}

fn number(bytes: &[u8], offset: usize) -> f64 {
    bytes.get(offset..).and_then(|rest| rest.first_chunk()).copied().map_or(0.0, f64::from_ne_bytes)
}

/// Which file some metadata belongs to.
pub fn identity(metadata: &std::fs::Metadata) -> DbIdentity {
    let born = metadata.created().ok().and_then(|born| born.duration_since(std::time::UNIX_EPOCH).ok());
    DbIdentity {
        inode: metadata.ino(),
        born: born.and_then(|born| u64::try_from(born.as_nanos()).ok()).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use metrifold_model::GaugeMode;

    use super::*;

    #[test]
    fn names_give_kind_and_process() {
        assert_eq!(parse_file_name("counter_123.db"), Some((Kind::Counter, "123")));
        assert_eq!(
            parse_file_name("gauge_livesum_web-1.db"),
            Some((Kind::Gauge(GaugeMode::LiveSum), "web-1"))
        );
        assert_eq!(parse_file_name("gauge_all_1.db"), Some((Kind::Gauge(GaugeMode::All), "1")));
        for bad in
            ["counter.db", "counter_.db", "gauge_123.db", "counter_1", "info_1.db", "stateset_1.db", ""]
        {
            assert_eq!(parse_file_name(bad), None, "{bad}");
        }
    }
}
