//! The files of a directory, and what is in them.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use metrifold_segment::{RegionError, parse_file_name};

/// The modes of gauges whose files `mark_process_dead` removes.
const LIVE_GAUGES: &str = "gauge_live";
/// Read at once; most files of few series are done with it.
const FIRST_BYTES: usize = 4_096;

/// Why a file is left out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// Not `counter_123.db` or the like.
    #[error("not named like a file of prometheus_client, such as counter_123.db or gauge_livesum_123.db")]
    Name,
    /// It could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Its entries contradict themselves.
    #[error(transparent)]
    Region(#[from] RegionError),
    /// A key is not `[family, sample, {labels}, help]`.
    #[error("a key in it is not a metric's name: {0}")]
    Key(String),
}

impl FileError {
    /// Whether there is no such file.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, FileError::Io(error) if error.kind() == ErrorKind::NotFound)
    }
}

/// Where the files of a directory are: sorted by name, so that no result depends on the directory's order.
pub(crate) fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut names: Vec<OsString> = match std::fs::read_dir(directory) {
        Ok(entries) => entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?,
        // Somebody wipes it before the application starts anew.
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    names.retain(|name| {
        let name = name.as_encoded_bytes();
        name.ends_with(b".db") && !name.starts_with(b".")
    });
    names.sort_unstable();
    Ok(names.into_iter().map(|name| directory.join(name)).collect())
}

/// Whether a file may go at any time, because it ends with its process.
pub(crate) fn may_vanish(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(LIVE_GAUGES.as_bytes()))
}

/// Kind and process identifier of a file.
pub(crate) fn identify(path: &Path) -> Result<(metrifold_model::Kind, &str), FileError> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.and_then(parse_file_name).ok_or(FileError::Name)
}

/// Reads the used part of a file, by way of `buffer`. It is read and not mapped: whatever somebody does to the file is an
/// error and not a signal.
pub(crate) fn read_used<'b>(path: &Path, buffer: &'b mut Vec<u8>) -> io::Result<&'b [u8]> {
    let mut file = File::open(path)?;
    grow(buffer, FIRST_BYTES);
    let mut length = read_up_to(&mut file, &mut buffer[..FIRST_BYTES])?;
    let used = buffer[..length].first_chunk().map_or(0, |used| i32::from_ne_bytes(*used));
    let used = usize::try_from(used).unwrap_or(0);
    if length == FIRST_BYTES && used > FIRST_BYTES {
        // Not allocated before it is known to be there: `used` may be anything.
        let available = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        let wanted = used.min(available).max(FIRST_BYTES);
        grow(buffer, wanted);
        length += read_up_to(&mut file, &mut buffer[FIRST_BYTES..wanted])?;
    }
    if length == 0 {
        // Made a moment ago; its process has not given it a length yet.
        return Ok(&[0; size_of::<i32>()]);
    }
    Ok(&buffer[..length])
}

/// The buffer never shrinks, so that it is cleared once and not for each file.
fn grow(buffer: &mut Vec<u8>, length: usize) {
    if buffer.len() < length {
        buffer.resize(length, 0);
    }
}

fn read_up_to(file: &mut File, bytes: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < bytes.len() {
        match file.read(&mut bytes[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}
