//! Removing the files of dead processes so that a process that opens one at this very moment loses nothing.
//!
//! prometheus_client opens a file by its name, maps it, and from then on only writes memory. A process whose pid is used
//! again may do so between our last look at a file and its removal, and would go on counting in a file without a name. So
//! a file leaves in three steps:
//!
//! 1. It is renamed into a hidden folder. Whoever opens the name after that makes a new file and counts from zero: another
//!    source. Whoever opened it before has the old one open or mapped.
//! 2. A second later, so that even an `open` that was under way is over, all processes are asked what they hold
//!    ([`Holders`]). Nobody can come to hold the file any more, so who is not seen now has ended, and what it wrote is there.
//! 3. Only then the file is read once more. Nobody holds it and it holds what was pushed: it is removed. Otherwise it gets
//!    its name back and goes on as a source whose base is what was pushed; if the name is taken by now, it goes on where it
//!    is, until its holder has ended.
//!
//! The check comes before the last read and not after it: a holder that ends in between has written before that read. A
//! child that was forked while its parent held the file holds it too, and never writes it; it delays the removal.
//! A process that may not be looked at counts as a holder of the files of its pid. The agent may be killed at any point: the
//! file's new name holds its ledger entry, and the next agent goes on at step 2.
//!
//! A file that cannot be read at step 3 (damage, too many open files) says nothing about what was counted in it. It gets its name
//! back and keeps its entry, so that what was pushed of it is known when it can be read again.

use std::{
    collections::HashSet,
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use metrifold_segment::{DbError, DbReader, MultiprocError, parse_file_name};
use metrifold_session::Instant;

use super::{
    Files,
    holders::Holders,
    ledger::EntryId,
    place_of,
    stage::{Found, Kept, Stage},
};
use crate::{
    memory::SourceError,
    sources::{SourceKey, Targets},
};

/// Far longer than a process can be between the look-up of a name and the end of `open`.
const GRACE: Duration = Duration::from_secs(1);
/// Files that lose their name at one scan; each costs a system call.
const RENAMED_PER_SCAN_MAX: usize = 256;

impl Files {
    /// One step for every file that is to go.
    pub(super) fn look_at_leaving(&mut self, targets: &Targets, now: Instant) {
        if self.settings.is_cleaned_up {
            self.put_aside(now);
        }
        let is_due = |kept: &Kept| matches!(kept.stage, Stage::Aside(since) if now.since(since) >= GRACE);
        let due: Vec<_> = self.kept.iter().filter(|(_, kept)| is_due(kept)).map(|(id, _)| *id).collect();
        if due.is_empty() {
            return;
        }
        // Whoever cannot be seen now may hold any of them.
        let Ok(holders) = Holders::look(&self.directory.leaving()) else { return };
        for id in due {
            self.remove_or_return(id, &holders, targets, now);
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
            let path = kept.path.clone();
            let aside = self.directory.leaving().join(format!("{:016x}-{}", id.0, kept.name));
            match std::fs::rename(&path, &aside) {
                Ok(()) => {
                    self.names.remove(&kept.name);
                    (kept.path, kept.stage) = (aside, Stage::Aside(now));
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    kept.has_to_stay = true;
                    self.warn_of_removal(&path, &error);
                }
            }
        }
    }

    fn remove_or_return(&mut self, id: EntryId, holders: &Holders, targets: &Targets, now: Instant) {
        let Some(kept) = self.kept.get(&id) else { return };
        let (path, name, process) = (kept.path.clone(), kept.name.clone(), kept.process.clone());
        let Some((kind, _)) = parse_file_name(&name) else { return };
        let opened = DbReader::open_as(path.clone(), kind);
        if matches!(&opened, Err(DbError::Io { source, .. }) if source.kind() == ErrorKind::NotFound) {
            self.kept.remove(&id);
            return self.ledger.lock().forget(id);
        }
        let read = opened.and_then(|mut reader| Ok((self.read(id, &mut reader)?, reader)));
        let (reading, reader) = match read {
            Ok(read) => read,
            Err(error) => return self.keep_unread(id, &name, &error.into(), now),
        };
        let holder = holders.of(&path, reader.device_and_inode().ok(), &process);
        if holder.is_some() || reading.found != Found::Same {
            self.give_back(id);
            return self.revive(id, reader, reading, holder.flatten(), targets, now);
        }
        match std::fs::remove_file(&path) {
            Ok(()) => {
                self.kept.remove(&id);
                self.ledger.lock().forget(id);
                self.removed += 1;
            }
            Err(error) => self.warn_of_removal(&path, &error),
        }
    }

    /// A file that cannot be read now waits for it under its name; if that is taken, where it is.
    fn keep_unread(&mut self, id: EntryId, name: &str, error: &SourceError, now: Instant) {
        let is_back = self.give_back(id);
        let Some(kept) = self.kept.get_mut(&id) else { return };
        if is_back {
            (kept.stage, kept.has_to_stay) = (Stage::Kept, true);
            self.names.insert(name.to_owned(), id);
        } else {
            kept.stage = Stage::Aside(now);
        }
        self.skip(name.to_owned(), error);
    }

    /// Gives a file its name back, unless it is taken.
    fn give_back(&mut self, id: EntryId) -> bool {
        let Some(kept) = self.kept.get(&id) else { return false };
        let back = place_of(&self.directory, &kept.name);
        let is_back = self.rename_to_free(&kept.path, &back);
        if is_back && let Some(kept) = self.kept.get_mut(&id) {
            kept.path = back;
        }
        is_back
    }

    fn warn_of_removal(&mut self, path: &Path, error: &std::io::Error) {
        if !std::mem::replace(&mut self.has_warned_of_removal, true) {
            tracing::warn!(path = %path.display(), %error, "files of dead processes cannot be removed");
        }
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
        targets: &Targets,
        now: Instant,
    ) -> Result<HashSet<EntryId>, MultiprocError> {
        let mut taken = HashSet::new();
        for leaving in self.directory.leaving_files()? {
            taken.extend(self.take_up_left(&leaving, targets, now));
        }
        Ok(taken)
    }

    /// Tries again what could not be read when it was taken up.
    pub(super) fn take_up_unread(&mut self, targets: &Targets, now: Instant) {
        for leaving in std::mem::take(&mut self.unread_leaving) {
            self.take_up_left(&leaving, targets, now);
        }
    }

    fn take_up_left(&mut self, leaving: &str, targets: &Targets, now: Instant) -> Option<EntryId> {
        let path = self.directory.leaving().join(leaving);
        let (id, name) = leaving.split_once('-')?;
        let id = EntryId(u64::from_str_radix(id, 16).ok()?);
        let (kind, process) = parse_file_name(name)?;
        let back = place_of(&self.directory, name);
        if is_same_file(&path, &back) {
            // The agent ended while it gave the file its name back.
            let _ = std::fs::remove_file(&path);
            return None;
        }
        let is_ended = self.ledger.lock().get(id).map(|entry| entry.head.prefix.is_some());
        match is_ended {
            Some(true) => {
                self.kept.insert(id, Kept::new(name, process, &path, Stage::Aside(now)));
            }
            Some(false) => match DbReader::open_as(path.clone(), kind) {
                Ok(reader) => {
                    let mut memory = self.memory(id, kind, name, process, path, targets);
                    (memory.reader, memory.has_vanished) = (Some(reader), true);
                    self.sources.insert(SourceKey(id.0), memory, targets, now);
                }
                Err(DbError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                    self.push_from_ledger(id, true, targets, now);
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.has_warned_of_unread, true) {
                        tracing::warn!(%error, "a file that is read on without its name cannot be opened; tried again");
                    }
                    self.unread_leaving.push(leaving.to_owned());
                    self.waiting += 1;
                }
            },
            None if self.rename_to_free(&path, &back) => return None,
            None => {
                tracing::warn!(path = %path.display(), "nothing is known of this file; it is left alone");
                return None;
            }
        }
        Some(id)
    }
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| std::fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}
