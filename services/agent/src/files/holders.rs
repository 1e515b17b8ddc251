//! Which processes hold which files of a folder.

use std::{io::ErrorKind, path::Path};

use metrifold_segment::{Held, ProcessIdentity, held_by, processes};

/// Who holds what below the folder.
pub(super) struct Holders {
    by_process: Vec<(u32, Held)>,
    /// Processes that this one may not look at.
    closed: Vec<u32>,
}

impl Holders {
    /// An error if it cannot be seen now, for want of open files most often.
    pub(super) fn look(folder: &Path) -> std::io::Result<Holders> {
        let mut holders = Holders { by_process: Vec::new(), closed: Vec::new() };
        let own = std::process::id();
        for pid in processes()?.into_iter().filter(|pid| *pid != own) {
            match held_by(pid, folder) {
                Ok(held) => holders.by_process.push((pid, held)),
                Err(error) if error.kind() == ErrorKind::PermissionDenied => holders.closed.push(pid),
                Err(error) => return Err(error),
            }
        }
        Ok(holders)
    }

    /// Whether somebody holds a file, and who if that can be told.
    pub(super) fn of(
        &self,
        path: &Path,
        inode: Option<(u64, u64)>,
        process: &str,
    ) -> Option<Option<ProcessIdentity>> {
        let holder = self.by_process.iter().find(|(_, held)| held.holds(path, inode));
        match holder {
            Some((pid, _)) => Some(identity_of(*pid)),
            None => self.closed.iter().find(|pid| pid.to_string() == process).map(|pid| identity_of(*pid)),
        }
    }
}

fn identity_of(pid: u32) -> Option<ProcessIdentity> {
    ProcessIdentity::of(pid).ok().flatten()
}
