//! What a process must keep straight over forks: one lock, one generation number, and the segment files it owns.
//!
//! - The lock covers every creation (segments and slots). It is taken before a fork and released on both sides, so a child
//!   never starts with state that a thread of the parent was changing. It is `std`'s mutex and not `parking_lot`'s: the
//!   latter unlocks through a table of waiting threads with locks of its own, which a fork may copy while they are held.
//! - The generation counts forks along a process's ancestry. A slot that carries another number belongs to the parent.
//! - Own files are opened once: closing any descriptor of a file drops the process's record locks on it, so readers in
//!   the owning process share the writer's descriptor.
#![expect(unsafe_code, reason = "pthread_atfork takes C callbacks")]

use std::cell::RefCell;
use std::fs::{File, Metadata, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

static GENERATION: AtomicU32 = AtomicU32::new(0);
static OWN_FILES: Mutex<OwnFiles> = Mutex::new(OwnFiles { files: Vec::new() });

thread_local! {
    /// The lock while this thread forks.
    static HELD_OVER_FORK: RefCell<Option<MutexGuard<'static, OwnFiles>>> = const { RefCell::new(None) };
}

/// Device and inode.
pub(crate) type FileIdentity = (u64, u64);

pub(crate) fn identity(metadata: &Metadata) -> FileIdentity {
    (metadata.dev(), metadata.ino())
}

/// The segment files of this process, and of those it was forked from.
pub(crate) struct OwnFiles {
    files: Vec<OwnFile>,
}

struct OwnFile {
    identity: FileIdentity,
    owner_pid: u32,
    file: Arc<File>,
}

impl OwnFiles {
    pub(crate) fn add(&mut self, identity: FileIdentity, file: Arc<File>) {
        self.files.push(OwnFile { identity, owner_pid: std::process::id(), file });
    }

    pub(crate) fn remove(&mut self, identity: FileIdentity) {
        self.files.retain(|own| own.identity != identity);
    }

    fn find(&self, identity: FileIdentity) -> Option<&Arc<File>> {
        let own = self.files.iter().find(|own| own.identity == identity)?;
        (own.owner_pid == std::process::id()).then_some(&own.file)
    }
}

/// The number of forks that led to this process since the handlers were installed (when the first recorder was opened).
/// Costs one memory access. Whoever keeps something beside a slot that must start anew in a child compares it.
#[inline]
pub fn generation() -> u32 {
    // Relaxed: only the fork handler changes it, in a child's only thread, before any other thread can start.
    GENERATION.load(Ordering::Relaxed)
}

/// Takes the process-wide lock of creation.
pub(crate) fn lock() -> MutexGuard<'static, OwnFiles> {
    OWN_FILES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Installs the fork handlers, once per process image.
pub(crate) fn watch_forks() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // SAFETY: the three callbacks are plain functions that live as long as the program and do not unwind.
        // The only documented failure is lack of memory; then a fork goes unnoticed and the child's counts would land in
        // the parent's segment, which is still no loss.
        unsafe {
            libc::pthread_atfork(Some(before_fork), Some(after_fork_in_parent), Some(after_fork_in_child))
        };
    });
}

extern "C" fn before_fork() {
    // A thread that forks while its thread-locals are destroyed goes without the lock.
    let _ = HELD_OVER_FORK.try_with(|held| {
        let guard = lock();
        if let Ok(mut held) = held.try_borrow_mut() {
            *held = Some(guard);
        }
    });
}

extern "C" fn after_fork_in_parent() {
    release();
}

extern "C" fn after_fork_in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    release();
}

fn release() {
    let _ = HELD_OVER_FORK.try_with(|held| {
        if let Ok(mut held) = held.try_borrow_mut() {
            drop(held.take());
        }
    });
}

/// Opens a segment's file: the owner's descriptor if this process owns it, else a new one.
pub(crate) fn open(path: &Path, write: bool) -> std::io::Result<Arc<File>> {
    let own_files = lock();
    if let Some(file) = own_files.find(identity(&std::fs::symlink_metadata(path)?)) {
        return Ok(Arc::clone(file));
    }
    // Not a symbolic link, which could lead out of the directory; without waiting, should it be a pipe.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).write(write).custom_flags(flags).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(Arc::new(file)),
        false => Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a regular file")),
    }
}

/// Whether this process holds the segment that the file is.
pub(crate) fn is_own(identity: FileIdentity) -> bool {
    lock().find(identity).is_some()
}
