//! A directory that prometheus_client's multiprocess mode writes: its files, and our hidden folder among them.

use std::fs::{DirBuilder, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::db_file::parse_file_name;
use crate::directory::{AgentLock, AgentLockError, take_agent_lock};

/// Where whoever serves the directory keeps what it must not forget. Hidden, so that `rm -rf DIR/*` at an application's
/// start leaves it alone; prometheus_client only looks for `DIR/*.db`.
const FOLDER: &str = ".metrifold";
/// Files on their way out, within [`FOLDER`].
const LEAVING: &str = "leaving";

/// Why a directory cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("multiprocess directory {path}: {source}")]
pub struct MultiprocError {
    /// The directory, or what in it.
    pub path: PathBuf,
    /// Why.
    pub source: std::io::Error,
}

/// A `PROMETHEUS_MULTIPROC_DIR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultiprocDirectory {
    path: PathBuf,
}

impl MultiprocDirectory {
    /// Makes the directory, and in it the hidden folder (mode 0700), where they are missing.
    pub fn open(path: impl Into<PathBuf>) -> Result<MultiprocDirectory, MultiprocError> {
        let path = path.into();
        let failed = |source| MultiprocError { path: path.clone(), source };
        std::fs::create_dir_all(&path).map_err(failed)?;
        // As /proc shows it of those who hold its files.
        let directory = MultiprocDirectory { path: std::fs::canonicalize(&path).map_err(failed)? };
        directory.make_folder()?;
        Ok(directory)
    }

    /// Makes the hidden folder again if somebody removed it.
    pub fn make_folder(&self) -> Result<(), MultiprocError> {
        let leaving = self.leaving();
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&leaving);
        made.map_err(|source| MultiprocError { path: leaving, source })
    }

    /// Where it is, without symbolic links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The hidden folder of a directory.
    pub fn folder_of(path: &Path) -> PathBuf {
        path.join(FOLDER)
    }

    /// The hidden folder.
    pub fn folder(&self) -> PathBuf {
        MultiprocDirectory::folder_of(&self.path)
    }

    /// Where files stand between losing their name and being removed.
    pub fn leaving(&self) -> PathBuf {
        self.folder().join(LEAVING)
    }

    /// Names of the files that prometheus_client wrote.
    pub fn files(&self) -> Result<Vec<String>, MultiprocError> {
        let mut names = self.names(&self.path)?;
        names.retain(|name| parse_file_name(name).is_some());
        Ok(names)
    }

    /// Names in [`MultiprocDirectory::leaving`].
    pub fn leaving_files(&self) -> Result<Vec<String>, MultiprocError> {
        self.names(&self.leaving())
    }

    /// The directory's own times, which change when a file comes or goes.
    pub fn metadata(&self) -> Result<Metadata, MultiprocError> {
        std::fs::metadata(&self.path).map_err(|source| self.failed(source))
    }

    /// Becomes the one agent of this directory, until the lock is dropped or the process dies.
    pub fn agent_lock(&self) -> Result<AgentLock, AgentLockError> {
        take_agent_lock(&self.folder())
    }

    /// What is not UTF-8 is none of prometheus_client's, nor ours. A directory that is gone has nothing in it.
    fn names(&self, path: &Path) -> Result<Vec<String>, MultiprocError> {
        match std::fs::read_dir(path) {
            Ok(entries) => {
                Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(source) => Err(MultiprocError { path: path.into(), source }),
        }
    }

    fn failed(&self, source: std::io::Error) -> MultiprocError {
        MultiprocError { path: self.path.clone(), source }
    }
}
