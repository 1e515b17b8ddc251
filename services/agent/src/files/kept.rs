//! Files whose sources have ended: what becomes of them, and how it is noticed that they are written again.

use std::{
    collections::HashSet,
    time::{Duration, Instant as Monotonic},
};

use metrifold_segment::{DbError, DbReader, ProcessIdentity, parse_file_name, processes};
use metrifold_session::Instant;

use super::{
    Files, UNSEEN_WRITERS_MAX,
    holders::Holders,
    ledger::EntryId,
    owners::Owner,
    place_of,
    stage::{Found, Kept, Reading, Stage, compare},
};
use crate::{
    fold::FoldAnswer,
    sources::{SourceKey, Targets},
};

/// Kept files that are read at one scan: a process may have come, written and gone between two scans, and a mapping
/// leaves no trace in a file's times. Five thousand files are read in some seconds, for about a hundredth of a core.
const READ_PER_SCAN_MAX: usize = 64;
/// How often a process that has the pid of a kept file is asked whether it holds it.
const ASK_AGAIN: Duration = Duration::from_millis(500);

impl Files {
    /// What the store says of ended sources. In the archive: that is for good. Forgotten: it is told again.
    pub(super) fn take_folds(&mut self, answer: &FoldAnswer) {
        let mut folded = Vec::new();
        for (id, kept) in &mut self.kept {
            let Some(incarnation) = kept.unfolded() else { continue };
            if answer.folded.contains(&incarnation) {
                kept.stage = Stage::Kept;
                folded.push(*id);
            } else if answer.unknown.contains(&incarnation) {
                kept.stage = Stage::Lost;
            }
        }
        for id in folded {
            self.finished += 1;
            self.ledger.lock().end(id);
            self.forget_settled(id);
        }
    }

    /// Nothing more has to be known of a file that is gone and in the archive.
    pub(super) fn forget_settled(&mut self, id: EntryId) {
        let is_settled = |kept: &&mut Kept| kept.has_vanished && kept.stage == Stage::Kept;
        let Some(kept) = self.kept.get_mut(&id).filter(|kept| is_settled(kept)) else { return };
        if kept.path.starts_with(self.directory.folder()) {
            // It was read on where it had been put aside.
            kept.stage = Stage::Aside(Instant(0));
        } else {
            self.kept.remove(&id);
            self.ledger.lock().forget(id);
        }
    }

    /// Looks for kept files that are written again, by a process with the same pid or by whomever.
    pub(super) fn look_at_kept(&mut self, targets: &Targets, now: Instant) {
        let lost: Vec<_> =
            self.kept.iter().filter(|(_, kept)| kept.stage == Stage::Lost).map(|(id, _)| *id).collect();
        for id in lost {
            if let Some(kept) = self.kept.remove(&id) {
                self.push_from_ledger(id, kept.has_vanished, targets, now);
            }
        }
        for id in self.suspects() {
            let Some(kept) = self.kept.get_mut(&id) else { continue };
            kept.asked = Some(Monotonic::now());
            let (path, process) = (kept.path.clone(), kept.process.clone());
            let Ok(mut reader) = DbReader::open(&path) else { continue };
            let file = (reader.identity(), reader.device_and_inode().ok());
            if let Owner::Lives(owner) = self.owners.of(&process, &path, file, None)
                && let Ok(reading) = self.read(id, &mut reader)
            {
                self.revive(id, reader, reading, Some(owner), targets, now);
            }
        }
        let mut holders = None;
        for id in self.in_turn() {
            let Some(kept) = self.kept.get(&id).filter(|kept| kept.stage == Stage::Kept) else { continue };
            let (path, process) = (kept.path.clone(), kept.process.clone());
            let Ok(mut reader) = DbReader::open(&path) else { continue };
            let Ok(reading) = self.read(id, &mut reader) else { continue };
            self.found_readable(id);
            if reading.found != Found::Same {
                let holders = holders.get_or_insert_with(|| Holders::look(self.directory.path()));
                let inode = reader.device_and_inode().ok();
                let holder =
                    holders.as_ref().ok().and_then(|holders| holders.of(&path, inode, &process).flatten());
                self.revive(id, reader, reading, holder, targets, now);
            }
        }
    }

    /// What a file holds now.
    pub(super) fn read(&self, id: EntryId, reader: &mut DbReader) -> Result<Reading, DbError> {
        let identity = reader.identity();
        let (descriptors, values) = reader.refresh()?;
        let ledger = self.ledger.lock();
        let entry = ledger.get(id).filter(|entry| entry.head.file == identity);
        let found = entry.map_or(Found::Other, |entry| compare(entry, descriptors, &values));
        Ok(Reading { found, descriptors: descriptors.clone() })
    }

    /// A file that could not be read on its way out can be, and may go after all.
    fn found_readable(&mut self, id: EntryId) {
        if let Some(kept) = self.kept.get_mut(&id)
            && self.corrupt.remove(&kept.name)
        {
            kept.has_to_stay = false;
        }
    }

    /// Kept files whose pid runs, and was not asked just now.
    fn suspects(&self) -> Vec<EntryId> {
        let running = processes().unwrap_or_default();
        let running: HashSet<String> = running.into_iter().map(|pid| pid.to_string()).collect();
        let is_suspect = |kept: &Kept| {
            kept.stage == Stage::Kept
                && running.contains(&kept.process)
                && kept.asked.is_none_or(|asked| asked.elapsed() >= ASK_AGAIN)
        };
        self.kept.iter().filter(|(_, kept)| is_suspect(kept)).map(|(id, _)| *id).collect()
    }

    /// The next few of all kept files.
    fn in_turn(&mut self) -> Vec<EntryId> {
        if self.turn.is_empty() {
            self.turn = self.kept.keys().copied().collect();
        }
        let first = self.turn.len().saturating_sub(READ_PER_SCAN_MAX);
        self.turn.split_off(first)
    }

    /// An ended file is written again, or is another one by now.
    pub(super) fn revive(
        &mut self,
        id: EntryId,
        reader: DbReader,
        Reading { found, descriptors }: Reading,
        owner: Option<ProcessIdentity>,
        targets: &Targets,
        now: Instant,
    ) {
        let Some(kept) = self.kept.remove(&id) else { return };
        let Some((kind, _)) = parse_file_name(&kept.name) else { return };
        if found == Found::Other {
            // Another file may have the name by now.
            if self.names.get(&kept.name) == Some(&id) {
                self.names.remove(&kept.name);
            }
            self.ledger.lock().forget(id);
            // Taken up by its name at the next scan.
            self.waiting += 1;
            return;
        }
        {
            let mut ledger = self.ledger.lock();
            ledger.revive(id, &descriptors);
            ledger.change(id, |head| {
                head.owner = owner.or(head.owner);
                head.unseen_writers = if owner.is_some() { 0 } else { head.unseen_writers + 1 };
            });
            if ledger.get(id).is_some_and(|entry| entry.head.unseen_writers == UNSEEN_WRITERS_MAX) {
                tracing::warn!(
                    file = kept.name,
                    "a file is written although no process in sight holds it; it now counts as alive until it is removed. \
                     If its processes run on another host or in another pid namespace, say so with agent.liveness = off"
                );
            }
        }
        let has_vanished = kept.path != place_of(&self.directory, &kept.name);
        let mut memory = self.memory(id, kind, &kept.name, &kept.process, kept.path, targets);
        (memory.reader, memory.has_vanished) = (Some(reader), has_vanished);
        if !has_vanished {
            self.names.insert(kept.name, id);
        }
        self.sources.insert(SourceKey(id.0), memory, targets, now);
    }
}
