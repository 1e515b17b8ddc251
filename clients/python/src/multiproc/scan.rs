//! Reading files with all processors, as long as their keys are known.

use std::collections::BTreeSet;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;

use metrifold_model::Kind;
use metrifold_segment::raw_entries;

use super::files::{self, FileError};
use super::keys::{KeyIndex, Keys};

/// Files that are read before their values are taken over: bounds the memory that a scrape needs.
pub(crate) const WAVE_FILES: usize = 512;
/// With fewer files each, threads cost more than they bring.
const FILES_PER_THREAD_MIN: usize = 8;
/// The other processors are the application's.
const THREADS_MAX: usize = 4;

/// One value of a file.
#[derive(Clone, Copy)]
pub(crate) struct Cell {
    pub(crate) key: KeyIndex,
    pub(crate) value: f64,
    pub(crate) timestamp: f64,
}

/// A file's values.
pub(crate) struct Scanned {
    pub(crate) kind: Kind,
    pub(crate) process: String,
    pub(crate) cells: Vec<Cell>,
}

/// A file's values; `None` if it has keys that nobody has read yet.
type Known = Result<Option<Scanned>, FileError>;

/// Reads a file, and those of its keys that are new.
pub(crate) fn read(keys: &mut Keys, path: &Path, buffer: &mut Vec<u8>) -> Result<Scanned, FileError> {
    let found = scan(path, buffer, |kind, key| keys.recognise(kind, key).map(Some))?;
    Ok(found.expect("every key was recognised or an error"))
}

/// Reads the first file of each kind, so that most keys of the others are known.
pub(crate) fn read_first_of_each_kind(keys: &mut Keys, paths: &[PathBuf]) {
    let (mut kinds, mut buffer) = (BTreeSet::new(), Vec::new());
    for path in paths {
        if files::identify(path).is_ok_and(|(kind, _)| kinds.insert(kind)) {
            // Read again in its turn, and then its damage is reported.
            let _ = read(keys, path, &mut buffer);
        }
    }
}

/// Reads files without changing what is known, in as many threads as are worth it. In the order of `paths`.
pub(crate) fn read_known(keys: &Keys, paths: &[PathBuf]) -> Vec<Known> {
    let threads = processors().min(paths.len() / FILES_PER_THREAD_MIN).max(1);
    let shares: Vec<&[PathBuf]> = paths.chunks(paths.len().div_ceil(threads).max(1)).collect();
    let Some((own, others)) = shares.split_first() else { return Vec::new() };
    thread::scope(|scope| {
        let others: Vec<_> =
            others.iter().map(|share| scope.spawn(move || read_share(keys, share))).collect();
        let mut all = read_share(keys, own);
        for other in others {
            all.extend(other.join().expect("reading files does not panic"));
        }
        all
    })
}

fn read_share(keys: &Keys, paths: &[PathBuf]) -> Vec<Known> {
    let mut buffer = Vec::new();
    paths.iter().map(|path| scan(path, &mut buffer, |kind, key| Ok(keys.known(kind, key)))).collect()
}

/// Reads a file until `index_of` does not know a key.
fn scan(
    path: &Path,
    buffer: &mut Vec<u8>,
    mut index_of: impl FnMut(Kind, &[u8]) -> Result<Option<KeyIndex>, FileError>,
) -> Known {
    let (kind, process) = files::identify(path)?;
    let bytes = files::read_used(path, buffer)?;
    let mut cells = Vec::with_capacity(bytes.len() / ENTRY_BYTES_USUAL);
    for entry in raw_entries(bytes) {
        let entry = entry?;
        let Some(key) = index_of(kind, entry.key)? else { return Ok(None) };
        cells.push(Cell { key, value: entry.value, timestamp: entry.timestamp });
    }
    Ok(Some(Scanned { kind, process: process.to_owned(), cells }))
}

/// Bytes of an entry with a label or two.
const ENTRY_BYTES_USUAL: usize = 96;

fn processors() -> usize {
    // Asked once: the answer takes reading files of the control group.
    static PROCESSORS: OnceLock<usize> = OnceLock::new();
    *PROCESSORS.get_or_init(|| thread::available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX))
}
