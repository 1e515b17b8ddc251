//! Whether the process that a file is named for still writes it.
//!
//! The name alone does not tell: a pid is used again, by an unrelated process too, and an application may name its files
//! by something else (uWSGI's worker ids are small numbers, as pids of system processes are). So a process counts as a
//! file's owner only if it was seen to hold the file, or, where this process may not look, if it belongs to the file's user and is older than the file.
//! Until one owner was seen, nobody is said to be dead: perhaps no process of this directory can be seen from here at all.

use std::{
    collections::HashMap,
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use metrifold_segment::{DbIdentity, Held, ProcessIdentity, held_by};

/// A file's time and a process's are read from different clocks, the latter in hundredths of a second.
const CLOCK_SLACK: Duration = Duration::from_millis(50);

/// What can be said of a file's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// It runs, and is the one that writes the file.
    Lives(ProcessIdentity),
    /// No process of that name writes the file.
    Dead,
    /// Nothing: the name is no pid, or processes of this directory cannot be seen from here.
    Unknown,
}

/// The processes as seen from here.
pub(super) struct Owners {
    /// Owners are never asked for.
    is_off: bool,
    /// An owner was seen at least once.
    can_be_seen: bool,
    /// Processes at this look.
    running: HashMap<u32, Option<ProcessIdentity>>,
    /// What a process holds at this look; `None` if it may not be looked at.
    held: HashMap<u32, Option<Held>>,
    /// Somebody could not be seen at this look, for want of open files most often: nobody is found dead then.
    is_blind: bool,
    booted: Option<SystemTime>,
}

impl Owners {
    pub(super) fn new(is_off: bool) -> Self {
        Owners {
            is_off,
            can_be_seen: false,
            running: HashMap::new(),
            held: HashMap::new(),
            is_blind: false,
            booted: boot_time(),
        }
    }

    /// Begins another look.
    pub(super) fn look(&mut self) {
        self.running.clear();
        self.held.clear();
        self.is_blind = false;
    }

    /// Notes an owner that a former agent saw from this pid namespace.
    pub(super) fn remember(&mut self, owner: &ProcessIdentity) {
        self.can_be_seen |= owner.pid_namespace == ProcessIdentity::current().pid_namespace;
    }

    /// Whether owners can be seen from here, as far as is known.
    pub(super) fn can_be_seen(&self) -> bool {
        self.can_be_seen
    }

    /// The process of a pid that runs now, unless it is this one.
    pub(super) fn running(&mut self, pid: u32) -> Option<ProcessIdentity> {
        let Owners { running, is_blind, .. } = self;
        let look = || {
            let found = ProcessIdentity::of(pid);
            *is_blind |= found.is_err();
            found.ok().flatten().filter(|_| !is_own(pid))
        };
        *running.entry(pid).or_insert_with(look)
    }

    /// Whether somebody could not be seen at this look.
    pub(super) fn is_blind(&self) -> bool {
        self.is_blind
    }

    /// Who writes the file at `path`, named for `process`, whose owner was `seen` before.
    pub(super) fn of(
        &mut self,
        process: &str,
        path: &Path,
        file: (DbIdentity, Option<(u64, u64)>),
        seen: Option<ProcessIdentity>,
    ) -> Owner {
        if self.is_off {
            return Owner::Unknown;
        }
        let seen = seen.filter(|seen| self.running(seen.pid) == Some(*seen));
        let named = || process.parse::<u32>().ok();
        let owner = match (seen, named()) {
            (Some(seen), _) => Some(seen),
            (None, Some(pid)) => self.running(pid).filter(|running| self.holds(*running, path, file)),
            (None, None) => return Owner::Unknown,
        };
        match owner {
            Some(owner) => {
                self.can_be_seen = true;
                Owner::Lives(owner)
            }
            None if self.can_be_seen && !self.is_blind => Owner::Dead,
            None => Owner::Unknown,
        }
    }

    fn holds(
        &mut self,
        process: ProcessIdentity,
        path: &Path,
        (file, inode): (DbIdentity, Option<(u64, u64)>),
    ) -> bool {
        let directory = path.parent().unwrap_or(path);
        let Owners { held, is_blind, .. } = self;
        let look = || match held_by(process.pid, directory) {
            Ok(held) => Some(held),
            Err(error) => {
                *is_blind |= error.kind() != ErrorKind::PermissionDenied;
                None
            }
        };
        match held.entry(process.pid).or_insert_with(look) {
            None if self.is_blind => false,
            Some(held) => held.holds(path, inode),
            None => self.is_older(process, path, file),
        }
    }

    /// Whether a process of the file's user began before the file did.
    fn is_older(&self, process: ProcessIdentity, path: &Path, file: DbIdentity) -> bool {
        const TICKS_PER_SECOND: u64 = 100; // In proc(5) on every architecture of today.
        let user = |path: &Path| std::fs::metadata(path).map(|metadata| metadata.uid()).ok();
        let process_user = user(Path::new(&format!("/proc/{}", process.pid)));
        let Some(booted) = self.booted.filter(|_| file.born != 0 && process_user == user(path)) else {
            return false;
        };
        let began = booted + Duration::from_millis(process.start_ticks * 1_000 / TICKS_PER_SECOND);
        began <= UNIX_EPOCH + Duration::from_nanos(file.born) + CLOCK_SLACK
    }
}

/// Whether a pid is this process's or one of its threads', which /proc shows as if it were a process. In a pid namespace of its
/// own a server has the low pids that an application has in another, and it has every file open, too.
fn is_own(pid: u32) -> bool {
    Path::new(&format!("/proc/self/task/{pid}")).exists()
}

/// When the machine started, by the clock of files.
fn boot_time() -> Option<SystemTime> {
    let since = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let since = Duration::new(since.tv_sec.unsigned_abs(), u32::try_from(since.tv_nsec).ok()?);
    SystemTime::now().checked_sub(since)
}
