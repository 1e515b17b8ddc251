//! Which processes hold which files of a folder.

use std::path::Path;

use metrifold_segment::{Held, ProcessIdentity, held_by, processes};

/// Who holds what below the folder.
pub(super) struct Holders {
    by_process: Vec<(u32, Held)>,
    /// Processes that this one may not look at.
    closed: Vec<u32>,
}

impl Holders {
    pub(super) fn look(folder: &Path) -> Holders {
        let mut holders = Holders { by_process: Vec::new(), closed: Vec::new() };
        let own = std::process::id();
        for pid in processes().into_iter().filter(|pid| *pid != own) {
            match held_by(pid, folder) {
                Some(held) => holders.by_process.push((pid, held)),
                None => holders.closed.push(pid),
            }
        }
        holders
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
            Some((pid, _)) => Some(ProcessIdentity::of(*pid)),
            None => {
                self.closed.iter().find(|pid| pid.to_string() == process).map(|pid| ProcessIdentity::of(*pid))
            }
        }
    }
}
