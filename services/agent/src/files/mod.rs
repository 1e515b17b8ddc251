//! A multiprocess directory of prometheus_client: each file is a source.
//!
//! What a segment keeps in its header stands in a [`Ledger`] here. A file's life:
//!
//! 1. **Pushed**, while its process lives, and once more when it is dead ([`Owners`]) or the file is gone. A file that loses
//!    its name while its process lives is read on through the open descriptor.
//! 2. **Ended**, when every target has acknowledged the last values. Only when the own store has them in its archive is that
//!    entered in the ledger: a store that is killed in between forgets, and is told again.
//! 3. **Kept**, without clean-up: never pushed again unless somebody writes the file, which a process with the same pid does.
//!    It goes on as another source whose base is what was pushed, so that only the difference counts.
//! 4. **Leaving**, with clean-up; see [`leaving`].

mod holders;
mod kept;
mod ledger;
mod memory;
mod owners;
mod removal;
mod settings;
mod stage;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant as Monotonic, SystemTime},
};

use metrifold_model::{DescriptorList, Incarnation, Kind, Values, Worker};
use metrifold_push::Transport;
use metrifold_segment::{
    AgentLock, DbError, DbReader, MultiprocDirectory, MultiprocError, db_identity, parse_file_name,
};
use metrifold_session::Instant;
use metrifold_store::StoreError;
use parking_lot::Mutex;

pub use ledger::LedgerError;
pub use settings::{FilesSettings, PidLiveness};

use self::{
    ledger::{End, Entry, EntryId, Head, Ledger},
    memory::FileMemory,
    owners::{Owner, Owners},
    stage::{Kept, Stage},
};
use crate::{
    AgentError, AgentStatus, Counts,
    directory::Directory,
    fold::{Asking, FoldAnswer, FoldQuestion},
    memory::SourceError,
    sources::{AnySources, SourceKey, Sources, Targets},
    transport,
};

/// A directory whose time is as young as this may have changed since it was read.
const TIME_RESOLUTION: Duration = Duration::from_secs(2);
/// A directory is read at least this often: some file systems change its time late.
const LISTED_AT_LEAST: Duration = Duration::from_secs(5);
/// Time between two attempts at a file that cannot be taken up.
const TRIED_AGAIN: Duration = Duration::from_millis(500);
/// How often an alive file without a known owner is asked for one.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// A file that was written so many times in a row without a process in sight that holds it has a writer who cannot be seen. A few
/// times it may be one that came and went between two scans.
const UNSEEN_WRITERS_MAX: u64 = 32;
/// After this time without an owner in sight it is said that none can be seen.
const OWNERS_EXPECTED_WITHIN: Duration = Duration::from_secs(60);

/// How often the files' sizes are looked up.
const WEIGHED_EVERY: Duration = Duration::from_secs(10);

/// The files of one directory.
pub(super) struct Files {
    directory: MultiprocDirectory,
    _lock: AgentLock,
    settings: FilesSettings,
    ledger: Arc<Mutex<Ledger>>,
    owners: Owners,
    sources: Sources<FileMemory>,
    /// Files that are not pushed any more, by their entry.
    kept: HashMap<EntryId, Kept>,
    /// Kept files that are to be read in this round.
    turn: Vec<EntryId>,
    /// The file that has a name now.
    names: HashMap<String, EntryId>,
    /// Files that cannot be read, so that each is named once.
    corrupt: HashSet<String>,
    /// Files that wait for room in the ledger.
    waiting: usize,
    /// Files without their names that could not be opened when they were taken up.
    unread_leaving: Vec<String>,
    listed: Option<(Instant, Option<SystemTime>)>,
    opened: Option<Instant>,
    /// The directory could not be read at the last scan.
    is_unreadable: bool,
    has_warned_of_owners: bool,
    has_warned_of_removal: bool,
    has_warned_of_unread: bool,
    asking: Asking,
    finished: u64,
    removed: u64,
    bytes: u64,
    /// When [`Files::bytes`] was looked up.
    weighed: Option<Instant>,
}

impl Files {
    /// Takes up a directory whose lock the caller has taken.
    pub(super) fn open(
        directory: MultiprocDirectory,
        lock: AgentLock,
        settings: FilesSettings,
    ) -> Result<Files, LedgerError> {
        let ledger = Ledger::open(&directory.folder())?;
        let mut owners = Owners::new(settings.liveness == PidLiveness::Off);
        ledger
            .entries()
            .values()
            .filter_map(|entry| entry.head.owner.as_ref())
            .for_each(|owner| owners.remember(owner));
        Ok(Files {
            directory,
            _lock: lock,
            settings,
            ledger: Arc::new(Mutex::new(ledger)),
            owners,
            sources: Sources::default(),
            kept: HashMap::new(),
            turn: Vec::new(),
            names: HashMap::new(),
            corrupt: HashSet::new(),
            waiting: 0,
            unread_leaving: Vec::new(),
            listed: None,
            opened: None,
            is_unreadable: false,
            has_warned_of_owners: false,
            has_warned_of_removal: false,
            has_warned_of_unread: false,
            asking: Asking::default(),
            finished: 0,
            removed: 0,
            bytes: 0,
            weighed: None,
        })
    }

    /// Takes up what a former agent left: files that are gone, and files that were on their way out.
    fn take_up(&mut self, targets: &Targets, now: Instant) -> Result<(), MultiprocError> {
        let present = self.take_up_leaving(targets, now)?;
        let entries: Vec<_> = {
            let ledger = self.ledger.lock();
            let here = |entry: &Entry| {
                let path = self.directory.path().join(&entry.head.name);
                std::fs::metadata(path).is_ok_and(|metadata| db_identity(&metadata) == entry.head.file)
            };
            let gone = ledger.entries().iter().filter(|(id, entry)| !present.contains(id) && !here(entry));
            gone.map(|(id, entry)| (*id, entry.clone())).collect()
        };
        for (id, entry) in entries {
            let has_sent = entry.targets.values().any(|of| of.state.values.is_some() && of.end != End::Known);
            match has_sent {
                true => self.push_from_ledger(id, true, targets, now),
                false => self.ledger.lock().forget(id),
            }
        }
        Ok(())
    }

    /// Pushes what the ledger knows of a source, and its end.
    fn push_from_ledger(&mut self, id: EntryId, has_vanished: bool, targets: &Targets, now: Instant) {
        let Some(entry) = self.ledger.lock().get(id).cloned() else { return };
        let Some((kind, process)) = parse_file_name(&entry.head.name) else { return };
        let path = place_of(&self.directory, &entry.head.name);
        let mut memory = self.memory(id, kind, &entry.head.name, process, path, targets);
        (memory.descriptors, memory.values) = (entry.descriptors.clone(), entry.last_values());
        (memory.has_vanished, memory.is_alive) = (has_vanished, false);
        self.sources.insert(SourceKey(id.0), memory, targets, now);
    }

    fn memory(
        &self,
        id: EntryId,
        kind: Kind,
        name: &str,
        process: &str,
        path: PathBuf,
        targets: &Targets,
    ) -> FileMemory {
        FileMemory {
            id,
            kind,
            name: name.to_owned(),
            path,
            worker: Worker {
                instance: self.settings.instance.clone(),
                process: process.to_owned(),
                ..Worker::default()
            },
            namespace: self.settings.namespace.clone(),
            reader: None,
            has_vanished: false,
            is_alive: true,
            asked: None,
            ledger: self.ledger.clone(),
            targets: targets.transports.iter().map(|transport| transport::id(transport.as_ref())).collect(),
            descriptors: DescriptorList::default(),
            values: Values::default(),
            has_told_left_out: false,
        }
    }

    /// Reads the directory if it may have changed.
    fn list(&mut self, targets: &Targets, now: Instant) -> Result<(), MultiprocError> {
        let modified = self.directory.metadata().ok().and_then(|metadata| metadata.modified().ok());
        if let Some((at, before)) = self.listed {
            let is_young =
                modified.is_none_or(|time| time.elapsed().map_or(true, |age| age < TIME_RESOLUTION));
            let is_waiting = !self.corrupt.is_empty() || self.waiting > 0;
            let due = if is_waiting { TRIED_AGAIN } else { LISTED_AT_LEAST };
            if before == modified && !is_young && now.since(at) < due {
                return Ok(());
            }
        }
        self.directory.make_folder()?;
        self.ledger.lock().look_after();
        let names: HashSet<_> = self.directory.files()?.into_iter().collect();
        self.listed = Some((now, modified));
        self.corrupt.retain(|name| names.contains(name));
        self.waiting = 0;
        self.take_up_unread(targets, now);
        let gone: Vec<_> = self
            .names
            .iter()
            .filter(|(name, _)| !names.contains(*name))
            .map(|(name, id)| (name.clone(), *id))
            .collect();
        for (name, id) in gone {
            self.lose(&name, id);
        }
        for name in names {
            if let Some(id) = self.names.get(&name).copied() {
                if !self.is_replaced(&name, id) {
                    continue;
                }
                self.lose(&name, id);
            }
            match self.take(&name, targets, now) {
                Ok(()) => drop(self.corrupt.remove(&name)),
                Err(error) => self.skip(name, &error),
            }
        }
        Ok(())
    }

    /// Looks up what the files take, now and then: it costs a system call per file.
    fn weigh(&mut self, now: Instant) {
        if self.weighed.is_none_or(|weighed| now.since(weighed) >= WEIGHED_EVERY) {
            let size = |name: &String| std::fs::metadata(self.directory.path().join(name)).ok();
            // st_blocks counts 512 bytes whatever the file system's own block is.
            self.bytes = self.names.keys().filter_map(size).map(|file| file.blocks() * 512).sum();
            self.weighed = Some(now);
        }
    }

    /// Whether there is another file under the name of one that is pushed. Kept files are looked at in turn.
    fn is_replaced(&mut self, name: &str, id: EntryId) -> bool {
        let reader = self.sources.memory(SourceKey(id.0)).and_then(|memory| memory.reader.as_ref());
        let Some(known) = reader.map(DbReader::identity) else { return false };
        let now = std::fs::metadata(self.directory.path().join(name));
        now.is_ok_and(|metadata| db_identity(&metadata) != known)
    }

    /// A file has lost its name.
    fn lose(&mut self, name: &str, id: EntryId) {
        self.names.remove(name);
        if let Some(memory) = self.sources.memory_mut(SourceKey(id.0)) {
            (memory.has_vanished, memory.asked) = (true, None);
        } else if let Some(kept) = self.kept.get_mut(&id) {
            // What is not in the archive yet is asked for first.
            kept.has_vanished = true;
        }
        self.forget_settled(id);
    }

    /// Begins to push a file, going on where the ledger says.
    fn take(&mut self, name: &str, targets: &Targets, now: Instant) -> Result<(), SourceError> {
        let Some((kind, process)) = parse_file_name(name) else { return Ok(()) };
        let path = place_of(&self.directory, name);
        let mut reader = match DbReader::open(&path) {
            Err(DbError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        if reader.is_empty()? {
            // Its process is about to give it its first length.
            self.waiting += 1;
            return Ok(());
        }
        let (descriptors, values) = reader.refresh()?;
        let (descriptors, file) = (descriptors.clone(), reader.identity());
        let known = {
            let ledger = self.ledger.lock();
            let is_free =
                |id: EntryId| !self.sources.contains(SourceKey(id.0)) && !self.kept.contains_key(&id);
            let mut entries = ledger.of_name(name).filter(|(id, _)| is_free(*id));
            let same = entries
                .find(|(_, entry)| entry.head.file == file && entry.continues_as(&descriptors, &values));
            same.map(|(id, entry)| (id, end_of(entry, targets)))
        };
        let id = match known {
            Some((id, End::Known)) => {
                self.names.insert(name.to_owned(), id);
                self.kept.insert(id, Kept::new(name, process, &path, Stage::Kept));
                return Ok(());
            }
            Some((id, End::Sent)) => {
                self.names.insert(name.to_owned(), id);
                self.push_from_ledger(id, false, targets, now);
                return Ok(());
            }
            Some((id, End::Open)) => id,
            None => {
                let id = EntryId(rand::random());
                let head = Head { name: name.to_owned(), file, owner: None, unseen_writers: 0, prefix: None };
                if !self.ledger.lock().enter(id, head) {
                    self.waiting += 1;
                    return Ok(());
                }
                id
            }
        };
        let process = process.to_owned();
        self.push(id, kind, name, &process, path, reader, targets, now);
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "everything that a source of this place consists of")]
    fn push(
        &mut self,
        id: EntryId,
        kind: Kind,
        name: &str,
        process: &str,
        path: PathBuf,
        reader: DbReader,
        targets: &Targets,
        now: Instant,
    ) {
        let mut memory = self.memory(id, kind, name, process, path, targets);
        memory.reader = Some(reader);
        self.names.insert(name.to_owned(), id);
        self.sources.insert(SourceKey(id.0), memory, targets, now);
    }

    /// Leaves a file alone until it can be read again; the others are not affected.
    fn skip(&mut self, name: String, error: &SourceError) {
        let file = name.clone();
        if self.corrupt.insert(name) {
            tracing::warn!(file, %error, "a file is skipped");
        }
    }

    /// Looks whose processes live.
    fn examine(&mut self, now: Instant) {
        self.owners.look();
        self.sources.live_memories().for_each(|memory| look_at(memory, &mut self.owners));
        for (key, error) in self.sources.examine_all(now) {
            self.skip_unreadable(key, &error);
        }
    }

    fn warn_of_owners(&mut self, now: Instant) {
        let opened = *self.opened.get_or_insert(now);
        let (live, _) = self.sources.count();
        let is_expected = self.settings.liveness == PidLiveness::Pid && live > 0;
        let is_late = now.since(opened) >= OWNERS_EXPECTED_WITHIN;
        if is_expected && is_late && !self.owners.can_be_seen() && !self.has_warned_of_owners {
            self.has_warned_of_owners = true;
            tracing::warn!(
                directory = %self.directory.path().display(),
                "no process that writes these files can be seen from here, so all count as alive; if they run on another \
                 host or in another pid namespace, say so with agent.liveness = off"
            );
        }
    }
}

/// How far the end of a file is known to the targets.
fn end_of(entry: &Entry, targets: &Targets) -> End {
    let end =
        |transport: &Arc<dyn Transport>| Some(entry.targets.get(&transport::id(transport.as_ref()))?.end);
    let ends: Vec<_> = targets.transports.iter().map(end).collect();
    match () {
        () if ends.iter().all(|end| *end == Some(End::Known)) => End::Known,
        () if ends.contains(&Some(End::Sent)) => End::Sent,
        () => End::Open,
    }
}

/// Asks whether a file's process lives.
fn look_at(memory: &mut FileMemory, owners: &mut Owners) {
    let Some(reader) = &memory.reader else { return };
    if memory.asked.is_some_and(|asked| asked.elapsed() < ASK_AGAIN) {
        return;
    }
    let (seen, unseen_writers) = {
        let ledger = memory.ledger.lock();
        ledger.get(memory.id).map_or((None, 0), |entry| (entry.head.owner, entry.head.unseen_writers))
    };
    if memory.has_vanished {
        // Somebody took the file away: of its process only that it still writes is asked. Live gauges end with the file,
        // which is how `mark_process_dead` ends them.
        let running = seen.and_then(|seen| owners.running(seen.pid));
        if !owners.is_blind() {
            memory.is_alive = running.is_some() && running == seen && !memory.kind.is_live();
        }
        return;
    }
    let file = (reader.identity(), reader.device_and_inode().ok());
    let found = owners.of(&memory.worker.process, &memory.path, file, seen);
    let owner = match found {
        Owner::Lives(owner) => Some(owner),
        Owner::Dead | Owner::Unknown => None,
    };
    match found {
        Owner::Lives(owner) => {
            memory.is_alive = true;
            if seen != Some(owner) {
                memory.ledger.lock().change(memory.id, |head| head.owner = Some(owner));
            }
        }
        Owner::Dead => memory.is_alive = unseen_writers >= UNSEEN_WRITERS_MAX,
        Owner::Unknown => memory.is_alive = true,
    }
    // Whether an unrelated process has come to hold it is not urgent, and asking costs that process something.
    let was_asked = memory.is_alive && owner.is_none() && !owners.is_blind();
    memory.asked = was_asked.then(Monotonic::now);
}

impl Directory for Files {
    fn scan(&mut self, targets: &Targets, now: Instant) -> Result<(), AgentError> {
        let taken_up = if self.listed.is_none() { self.take_up(targets, now) } else { Ok(()) };
        match taken_up.and_then(|()| self.list(targets, now)) {
            Ok(()) => self.is_unreadable = false,
            // Too many open files, most often. What is known is pushed on, and the next scan tries again.
            Err(error) => {
                if !std::mem::replace(&mut self.is_unreadable, true) {
                    tracing::warn!(%error, "the multiprocess directory cannot be read now; known files are pushed on");
                }
            }
        }
        self.examine(now);
        self.warn_of_owners(now);
        self.release(now)?;
        self.look_at_kept(targets, now);
        self.look_at_leaving(targets, now);
        self.weigh(now);
        Ok(())
    }

    /// A file that is done with is not pushed any more; what becomes of it is decided when its values are in the archive.
    fn release(&mut self, _now: Instant) -> Result<(), AgentError> {
        for (key, source) in self.sources.take_done() {
            let incarnation = source.incarnation(0);
            let memory = source.into_memory();
            let process = memory.worker.process.clone();
            let mut kept = Kept::new(&memory.name, &process, &memory.path, Stage::Unfolded(incarnation));
            kept.has_vanished = memory.has_vanished;
            self.kept.insert(EntryId(key.0), kept);
        }
        Ok(())
    }

    fn is_known(&self) -> bool {
        self.listed.is_some() && self.unread_leaving.is_empty()
    }

    fn sources(&mut self) -> &mut dyn AnySources {
        &mut self.sources
    }

    /// The ledger knows how far it was pushed, so it can be taken up again.
    fn skip_unreadable(&mut self, key: SourceKey, error: &SourceError) {
        if let Some(FileMemory { name, .. }) = self.sources.remove(key) {
            if self.names.get(&name) == Some(&EntryId(key.0)) {
                self.names.remove(&name);
            }
            self.skip(name, error);
        }
    }

    fn counts(&self) -> Counts {
        let (live, dead) = self.sources.count();
        Counts {
            live,
            dead,
            kept: self.kept.len(),
            corrupt: self.corrupt.len(),
            finished: self.finished,
            removed: self.removed,
            bytes: self.bytes,
            ledger_failures: self.ledger.lock().failures(),
        }
    }

    fn report(&self, status: &mut AgentStatus) {
        status.files = self.counts();
    }

    fn name_of(&mut self, key: SourceKey) -> String {
        self.sources.memory(key).map(|memory| memory.name.clone()).unwrap_or_default()
    }

    fn leave(&mut self) -> Result<bool, AgentError> {
        Ok(true)
    }

    fn question(&mut self, now: Instant) -> Option<FoldQuestion> {
        if !self.asking.is_due(now) {
            return None;
        }
        let ended: Vec<Incarnation> = self.kept.values().filter_map(Kept::unfolded).collect();
        if ended.is_empty() {
            return None;
        }
        self.asking.begin(now);
        Some(FoldQuestion {
            store: self.settings.store.clone(),
            namespace: self.settings.namespace.clone(),
            ended,
        })
    }

    fn answered(&mut self, answer: Result<FoldAnswer, StoreError>, _now: Instant) {
        self.asking.end();
        match answer {
            Ok(answer) => self.take_folds(&answer),
            Err(error) => tracing::debug!(%error, "whether ended sources are folded is not known yet"),
        }
    }
}

/// Where a file stands.
fn place_of(directory: &MultiprocDirectory, name: &str) -> PathBuf {
    Path::new(directory.path()).join(name)
}
