//! Removing the files of dead processes so that a process that opens one at this very moment loses nothing.
//!
//! prometheus_client opens a file by its name, maps it, and from then on only writes memory. A process whose pid is used
//! again may do so between our last look at a file and its removal, and would go on counting in a file without a name. So
//! a file leaves in three steps:
//!
//! 1. It is renamed into a hidden folder. Whoever opens the name after that makes a new file and counts from zero: another
//!    source. Whoever opened it before has the old one open or mapped.
//! 2. A second later, so that even an `open` that was under way is over, all processes are asked what they hold
//!    ([`held_by`]). Nobody can come to hold the file any more, so who is not seen now has ended, and what it wrote is there.
//! 3. Only then the file is read once more. Nobody holds it and it holds what was pushed: it is removed. Otherwise it gets
//!    its name back and goes on as a source whose base is what was pushed; if the name is taken by now, it goes on where it
//!    is, until its holder has ended.
//!
//! The check comes before the last read and not after it: a holder that ends in between has written before that read. A
//! child that was forked while its parent held the file holds it too, and never writes it; it delays the removal.
//! A process that may not be looked at counts as a holder of the files of its pid. The agent may be killed at any point: the
//! file's new name holds its ledger entry, and the next agent goes on at step 2.

use std::{
    collections::HashSet,
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use metrifold_segment::{ForeignReader, Held, ProcessIdentity, held_by, parse_file_name, processes};
use metrifold_session::Instant;

use super::{
    Files,
    entry::EntryId,
    kept::{Found, Kept, Stage},
    place_of,
};
use crate::{
    AgentError,
    source::{Lanes, Source, SourceKey},
};

/// Far longer than a process can be between the look-up of a name and the end of `open`.
const GRACE: Duration = Duration::from_secs(1);
/// Files that lose their name at one scan; each costs a system call.
const RENAMED_PER_SCAN_MAX: usize = 256;

impl Files {
    /// One step for every file that is to go.
    pub(super) fn look_at_leaving(&mut self, lanes: &Lanes, now: Instant) {
        if self.settings.is_cleaned_up {
            self.put_aside(now);
        }
        let is_due = |kept: &Kept| matches!(kept.stage, Stage::Aside(since) if now.since(since) >= GRACE);
        let due: Vec<_> = self.kept.iter().filter(|(_, kept)| is_due(kept)).map(|(id, _)| *id).collect();
        if due.is_empty() {
            return;
        }
        let holders = Holders::look(&self.directory.leaving());
        for id in due {
            self.remove_or_return(id, &holders, lanes, now);
        }
    }

    fn put_aside(&mut self, now: Instant) {
        let may_go = |kept: &Kept| kept.stage == Stage::Kept && !kept.has_vanished && !kept.has_to_stay;
        let going: Vec<_> = self
            .kept
            .iter()
            .filter(|(_, kept)| may_go(kept))
            .map(|(id, _)| *id)
            .take(RENAMED_PER_SCAN_MAX)
            .collect();
        for id in going {
            let Some(kept) = self.kept.get_mut(&id) else { continue };
            let aside = self.directory.leaving().join(format!("{:016x}-{}", id.0, kept.name));
            match std::fs::rename(&kept.path, &aside) {
                Ok(()) => {
                    self.names.remove(&kept.name);
                    (kept.path, kept.stage) = (aside, Stage::Aside(now));
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    kept.has_to_stay = true;
                    if !std::mem::replace(&mut self.has_warned_of_removal, true) {
                        tracing::warn!(path = %kept.path.display(), %error, "files of dead processes cannot be removed");
                    }
                }
            }
        }
    }

    fn remove_or_return(&mut self, id: EntryId, holders: &Holders, lanes: &Lanes, now: Instant) {
        let Some(kept) = self.kept.get(&id) else { return };
        let (path, name, process) = (kept.path.clone(), kept.name.clone(), kept.process.clone());
        let Some((kind, _)) = parse_file_name(&name) else { return };
        let mut reader = match ForeignReader::open_as(path.clone(), kind) {
            Ok(reader) => reader,
            Err(_) if !path.exists() => {
                self.kept.remove(&id);
                return self.ledger.lock().forget(id);
            }
            Err(_) => return,
        };
        let holder = holders.of(&path, reader.device_and_inode().ok(), &process);
        let found = self.found(id, &mut reader);
        if holder.is_none() && found == Some(Found::Same) {
            match std::fs::remove_file(&path) {
                Ok(()) => {
                    self.kept.remove(&id);
                    self.ledger.lock().forget(id);
                    self.removed += 1;
                }
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "a file of a dead process cannot be removed")
                }
            }
            return;
        }
        let back = place_of(&self.directory, &name);
        if self.rename_to_free(&path, &back)
            && let Some(kept) = self.kept.get_mut(&id)
        {
            kept.path = back;
        }
        self.revive(id, reader, holder.flatten(), lanes, now);
    }

    /// Renames a file unless the new name is taken.
    fn rename_to_free(&self, from: &PathBuf, to: &PathBuf) -> bool {
        // A link fails if the name is taken, in one step and on every file system that has links.
        match std::fs::hard_link(from, to) {
            Ok(()) => std::fs::remove_file(from).is_ok(),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
            Err(_) => !to.exists() && std::fs::rename(from, to).is_ok(),
        }
    }

    /// Files that were on their way out when a former agent ended; returns their entries.
    pub(super) fn take_up_leaving(
        &mut self,
        lanes: &Lanes,
        now: Instant,
    ) -> Result<HashSet<EntryId>, AgentError> {
        let mut taken = HashSet::new();
        for leaving in self.directory.leaving_files()? {
            let path = self.directory.leaving().join(&leaving);
            let Some((id, name)) = leaving.split_once('-') else { continue };
            let (Ok(id), Some((kind, process))) = (u64::from_str_radix(id, 16), parse_file_name(name)) else {
                continue;
            };
            let id = EntryId(id);
            let back = place_of(&self.directory, name);
            if is_same_file(&path, &back) {
                // The agent ended while it gave the file its name back.
                let _ = std::fs::remove_file(&path);
                continue;
            }
            let is_ended = self.ledger.lock().get(id).map(|entry| entry.head.prefix.is_some());
            match is_ended {
                Some(true) => {
                    taken.insert(id);
                    self.kept.insert(id, Kept::new(name, process, &path, Stage::Aside(now)));
                }
                Some(false) => {
                    let Ok(reader) = ForeignReader::open_as(path.clone(), kind) else { continue };
                    taken.insert(id);
                    let mut memory = self.memory(id, kind, name, process, path, lanes);
                    (memory.reader, memory.has_vanished) = (Some(reader), true);
                    self.sources.insert(SourceKey(id.0), Source::new(memory, lanes, now));
                }
                None if self.rename_to_free(&path, &back) => {}
                None => {
                    tracing::warn!(path = %path.display(), "nothing is known of this file; it is left alone")
                }
            }
        }
        Ok(taken)
    }
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| std::fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}

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
