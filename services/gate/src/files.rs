//! Files that are read, and whether they have changed since.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;

/// Largest file: an authority bundle of a whole system has a quarter of it, and a wrong path may name anything.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Most files of a directory: a system has some 150 authorities, each under two names.
const DIRECTORY_FILES_MAX: usize = 1_000;

/// What a file or directory was when it was read; `None`: it could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    place: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Reads files and remembers their stamps.
#[derive(Debug, Default)]
pub(crate) struct Files {
    seen: Mutex<Stamps>,
}

/// What was read, to be compared later.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stamps(Vec<(PathBuf, Option<Stamp>)>);

impl Stamps {
    /// Whether anything has changed since.
    pub(crate) fn have_changed(&self) -> bool {
        self.0.iter().any(|(path, stamp)| stamp_of(path) != *stamp)
    }
}

impl Files {
    /// The contents of a file.
    pub(crate) fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.note(path);
        let metadata = fs::metadata(path)?;
        if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
            let text = format!("it is no file of at most {FILE_BYTES_MAX} bytes");
            return Err(io::Error::other(text));
        }
        fs::read(path)
    }

    /// The paths of the files in a directory, sorted.
    pub(crate) fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        self.note(directory);
        let mut paths = Vec::new();
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_file() {
                paths.push(path);
            }
            if paths.len() > DIRECTORY_FILES_MAX {
                return Err(io::Error::other(format!("it holds more than {DIRECTORY_FILES_MAX} files")));
            }
        }
        paths.sort();
        Ok(paths)
    }

    /// Stamps of everything that was read, or could not be.
    pub(crate) fn stamps(self) -> Stamps {
        self.seen.into_inner()
    }

    /// Before the contents are read: a change in between shows as one.
    fn note(&self, path: &Path) {
        self.seen.lock().0.push((path.to_owned(), stamp_of(path)));
    }
}

fn stamp_of(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some(Stamp {
        place: (metadata.dev(), metadata.ino()),
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_written_replaced_removed_or_made_counts_as_changed() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (path, other) = (directory.path().join("a"), directory.path().join("b"));
        let stamps = |path: &Path| {
            let files = Files::default();
            let _ = files.read(path);
            files.stamps()
        };
        let missing = stamps(&path);
        fs::write(&path, "one").expect("written");
        assert!(missing.have_changed());
        let before = stamps(&path);
        assert!(!before.have_changed());
        fs::write(&path, "three").expect("written");
        assert!(before.have_changed());
        let before = stamps(&path);
        fs::write(&other, "seven").expect("written");
        fs::rename(&other, &path).expect("replaced");
        assert!(before.have_changed());
        let before = stamps(&path);
        fs::remove_file(&path).expect("removed");
        assert!(before.have_changed());
    }

    #[test]
    fn what_is_no_file_or_too_large_is_refused() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let large = directory.path().join("large");
        fs::File::create(&large).expect("made").set_len(FILE_BYTES_MAX + 1).expect("sparse");
        for path in [directory.path(), &large, Path::new("/dev/zero")] {
            assert!(Files::default().read(path).is_err(), "{}", path.display());
        }
    }
}
