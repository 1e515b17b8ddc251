//! The segment directory: which segments there are, who serves them, and what nobody wants any more.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrifold_model::Incarnation;
use rustix::fs::{FlockOperation, flock};

use crate::fork;
use crate::header::{ORPHANED_WORD, SegmentHeader};
use crate::lock::is_locked_by_another;
use crate::reader::{Liveness, SegmentError, liveness, open_segment};

const SEGMENT_EXTENSION: &str = "seg";
pub(crate) const TEMPORARY_EXTENSION: &str = "tmp";
const AGENT_LOCK: &str = "agent.lock";
/// How long a segment without a living owner waits for an agent before a starting process removes it.
pub const ORPHAN_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// A starting process holds the agent's lock for the moment of a sweep; an agent waits that out.
const LOCK_ATTEMPTS: usize = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Why a directory cannot hold segments.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// It could not be made or read.
    #[error("segment directory {path}: {source}")]
    Io {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is something else of that name.
    #[error("segment directory {path} is not a directory; remove it or choose another")]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// Another user could put forged segments there or read ours.
    #[error(
        "segment directory {path} belongs to user {owner}, not to user {user} who runs this; choose another"
    )]
    ForeignOwner {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// The effective user of this process.
        user: u32,
    },
}

/// Why the agent's lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum AgentLockError {
    /// Another agent serves the directory.
    #[error("another agent (pid {}) serves {path}", pid.map_or("unknown".into(), |pid| pid.to_string()))]
    Held {
        /// The lock file.
        path: PathBuf,
        /// The holder's pid as it sees itself, if it has written it.
        pid: Option<u32>,
    },
    /// The lock file cannot be used.
    #[error("{path}: {source}")]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Where workers of this user put their segments unless told otherwise: `/dev/shm/metrifold-<uid>` where there is /dev/shm
/// (memory, no disk), else `metrifold-<uid>` in the directory for temporary files.
pub fn default_path() -> PathBuf {
    let shared_memory = Path::new("/dev/shm");
    let parent = if shared_memory.is_dir() { shared_memory.into() } else { std::env::temp_dir() };
    parent.join(format!("metrifold-{}", rustix::process::geteuid().as_raw()))
}

/// Whether an agent serves the segment directory at `path` now. Makes neither the directory nor its lock file.
pub fn is_served(path: &Path) -> bool {
    let lock = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path.join(AGENT_LOCK));
    let Ok(file) = lock else { return false };
    // Shared, so that two who ask at once do not take each other for an agent.
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => {
            // Unlocked rather than only closed: a child forked by another thread meanwhile holds the same open file.
            let _ = flock(&file, FlockOperation::Unlock);
            false
        }
        Err(error) => error == rustix::io::Errno::WOULDBLOCK,
    }
}

pub(crate) fn segment_name(incarnation: Incarnation) -> String {
    format!("{incarnation}.{SEGMENT_EXTENSION}")
}

/// A directory of segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentDirectory {
    path: PathBuf,
}

impl SegmentDirectory {
    /// [`default_path`].
    pub fn default_path() -> PathBuf {
        default_path()
    }

    /// Makes the directory (mode 0700) if it is missing. Refuses one of another user, except for root's, who can read and
    /// write everything anyway.
    pub fn open(path: impl Into<PathBuf>) -> Result<SegmentDirectory, DirectoryError> {
        let path = path.into();
        let failed = |source| DirectoryError::Io { path: path.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&path).or_else(|error| match error.kind() {
            ErrorKind::AlreadyExists => Ok(()),
            _ => Err(failed(error)),
        })?;
        let metadata = std::fs::symlink_metadata(&path).map_err(failed)?;
        let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
        match metadata.is_dir() {
            false => Err(DirectoryError::NotADirectory { path }),
            true if owner != user && owner != 0 => Err(DirectoryError::ForeignOwner { path, owner, user }),
            true => Ok(SegmentDirectory { path }),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The segments, sorted by name. Each is locked by its owner, or its owner is dead.
    pub fn segments(&self) -> Result<Vec<PathBuf>, DirectoryError> {
        self.files(SEGMENT_EXTENSION)
    }

    /// Becomes the one agent of this directory, until the lock is dropped or the process dies.
    pub fn agent_lock(&self) -> Result<AgentLock, AgentLockError> {
        take_agent_lock(&self.path)
    }

    /// Whether a segment's owner lives. [`SegmentReader::liveness`](crate::SegmentReader::liveness) spares the opening.
    pub fn liveness(&self, header: &SegmentHeader, path: &Path) -> Result<Liveness, SegmentError> {
        let failed = |source| SegmentError::Io { path: path.into(), source };
        let (file, _, _) = open_segment(path, false)?;
        liveness(header, &file).map_err(failed)
    }

    /// Removes a segment's file; one that is gone already is fine.
    pub fn remove(&self, path: &Path) -> Result<(), DirectoryError> {
        match std::fs::remove_file(path) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                Err(DirectoryError::Io { path: path.into(), source })
            }
            _ => Ok(()),
        }
    }

    /// Removes segments that were first found without a living owner `age` ago or earlier, and marks those that are found
    /// now. Does nothing while an agent serves the directory. Returns what it removed.
    ///
    /// The age counts from when the death was found, not from the file's times, which say when the segment was made: a
    /// worker that lived for days and died with its agent a second ago must wait for the next agent.
    pub fn sweep_old(&self, age: Duration) -> Result<Vec<PathBuf>, DirectoryError> {
        let candidates: Vec<_> = [SEGMENT_EXTENSION, TEMPORARY_EXTENSION]
            .into_iter()
            .map(|extension| self.files(extension))
            .collect::<Result<Vec<_>, _>>()?
            .concat();
        let candidates: Vec<_> = candidates.into_iter().filter(|path| is_older(path, age)).collect();
        if candidates.is_empty() {
            return Ok(Vec::new());
        }
        let Ok(_lock) = AgentLock::take(&self.path.join(AGENT_LOCK)) else { return Ok(Vec::new()) };
        let expired: Vec<_> = candidates.into_iter().filter(|path| is_expired_orphan(path, age)).collect();
        expired.iter().try_for_each(|path| self.remove(path))?;
        Ok(expired)
    }

    /// Files of our naming: 16 hex digits and the extension.
    fn files(&self, extension: &str) -> Result<Vec<PathBuf>, DirectoryError> {
        let failed = |source| DirectoryError::Io { path: self.path.clone(), source };
        let is_ours = |path: &PathBuf| {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let named = stem.len() == 16 && stem.bytes().all(|byte| byte.is_ascii_hexdigit());
            named && path.extension().is_some_and(|found| found == extension)
        };
        let entries = std::fs::read_dir(&self.path).map_err(failed)?;
        let mut paths: Vec<_> =
            entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_ours).collect();
        paths.sort();
        Ok(paths)
    }
}

/// Becomes the one agent of what lies in `directory`.
pub(crate) fn take_agent_lock(directory: &Path) -> Result<AgentLock, AgentLockError> {
    let path = directory.join(AGENT_LOCK);
    for _ in 1..LOCK_ATTEMPTS {
        match AgentLock::take(&path) {
            Err(AgentLockError::Held { .. }) => std::thread::sleep(LOCK_PAUSE),
            outcome => return outcome?.announce(),
        }
    }
    AgentLock::take(&path)?.announce()
}

/// The exclusive right to push a directory's segments. Released when dropped, or by the kernel at death.
#[derive(Debug)]
pub struct AgentLock {
    path: PathBuf,
    file: File,
}

impl AgentLock {
    /// flock and not a record lock: it belongs to the open file, so no other opening of the lock file in this process
    /// can drop it.
    fn take(path: &Path) -> Result<AgentLock, AgentLockError> {
        let failed = |source| AgentLockError::Io { path: path.into(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)
            .map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(AgentLock { path: path.into(), file }),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                Err(AgentLockError::Held { path: path.into(), pid })
            }
            Err(error) => Err(failed(error.into())),
        }
    }

    /// Writes the pid, for the message that others see.
    fn announce(mut self) -> Result<AgentLock, AgentLockError> {
        let line = format!("{}\n", std::process::id());
        let written = self.file.set_len(0).and_then(|()| self.file.write_all(line.as_bytes()));
        match written {
            Ok(()) => Ok(self),
            Err(source) => Err(AgentLockError::Io { path: self.path.clone(), source }),
        }
    }
}

impl Drop for AgentLock {
    /// Unlocks rather than only closes: a child forked by another thread meanwhile holds the same open file.
    fn drop(&mut self) {
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

fn is_older(path: &Path, age: Duration) -> bool {
    let modified = std::fs::symlink_metadata(path).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|elapsed| elapsed >= age))
}

/// Whether a file, old enough by its times, may go. Marks a segment that is found dead for the first time.
fn is_expired_orphan(path: &Path, age: Duration) -> bool {
    let (file, header) = match open_segment(path, true) {
        Ok((file, header, _)) => (file, header),
        // Half made, damaged, or of another version: the lock must tell, and the age by the file's times must do.
        Err(SegmentError::Header { .. } | SegmentError::Length { .. }) => return is_unlocked(path),
        Err(_) => return false,
    };
    if !matches!(liveness(&header, &file), Ok(Liveness::LockGone)) {
        return false;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut word = [0; 8];
    if file.read_exact_at(&mut word, ORPHANED_WORD as u64).is_err() {
        return false;
    }
    let since = match f64::from_ne_bytes(word) {
        0.0 => {
            let marked = file.write_all_at(&now.as_secs_f64().to_ne_bytes(), ORPHANED_WORD as u64);
            if marked.is_err() {
                return false;
            }
            now.as_secs_f64()
        }
        since => since,
    };
    now.as_secs_f64() - since >= age.as_secs_f64()
}

fn is_unlocked(path: &Path) -> bool {
    let locked = fork::open(path, false).and_then(|file| is_locked_by_another(&file));
    locked.is_ok_and(|locked| !locked)
}
