//! The ledger: what was pushed of each file of a directory, so that whoever serves the directory next goes on exactly.
//!
//! One append-only file of records, each with its length and checksum. A record is in the kernel's hands when the write
//! returns, so a SIGKILL at any moment leaves all of it, or a torn end that the next reader cuts off. When most of the
//! file is of the past it is written anew under another name and renamed. A machine that stops may lose the last seconds
//! of it; what that means is in the manual.
//!
//! A full file system stops nobody: the entries are kept in memory, what could not be written is written as soon as there
//! is room, and only files that the ledger has never heard of wait until then.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{ErrorKind, Read, Write},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant as Monotonic},
};

use metrifold_model::DescriptorList;
use metrifold_session::PusherState;

mod entry;

use entry::Record;
pub(super) use entry::{End, Entry, EntryId, Head, TargetState};

const FILE_NAME: &str = "ledger";
const NEW_NAME: &str = "ledger.new";
const MAGIC: &[u8; 8] = b"MTFDLDG1";
/// Length and checksum of a record.
const FRAME_BYTES: usize = 8;
/// The ledger is written anew when it is so long, and so many times as long as it was when it was last new.
const REWRITE_BYTES_MIN: u64 = 4 << 20;
const REWRITE_GROWTH: u64 = 4;
/// How long a ledger that could not be written is left alone before the next attempt.
const RETRY: Duration = Duration::from_secs(1);

/// Why a ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// It cannot be read or made.
    #[error("{path}: {source}")]
    Io {
        /// The ledger's file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Something else, or of another version.
    #[error(
        "{path}: no ledger that this version can read; what was pushed of the files beside it is not known. Run the \
         version that wrote it, or remove it together with the files"
    )]
    Format {
        /// The ledger's file.
        path: PathBuf,
    },
}

/// The ledger of one directory.
pub(super) struct Ledger {
    folder: PathBuf,
    file: File,
    /// How much of the file is whole records.
    length: u64,
    /// Its length when it was last new.
    length_when_new: u64,
    entries: BTreeMap<EntryId, Entry>,
    /// Entries by the name of their file.
    by_name: HashMap<String, Vec<EntryId>>,
    /// The file lacks something that `entries` has.
    is_behind: bool,
    tried: Option<Monotonic>,
    failures: u64,
}

impl Ledger {
    /// Opens or makes the ledger in `folder`.
    pub(super) fn open(folder: &Path) -> Result<Ledger, LedgerError> {
        let path = folder.join(FILE_NAME);
        let failed = |source| LedgerError::Io { path: path.clone(), source };
        let (entries, length) = match std::fs::read(&path) {
            Ok(bytes) if bytes.starts_with(MAGIC) => replay(&bytes),
            Ok(bytes) if MAGIC.starts_with(&bytes) => (BTreeMap::new(), 0),
            Ok(_) => return Err(LedgerError::Format { path }),
            Err(error) if error.kind() == ErrorKind::NotFound => (BTreeMap::new(), 0),
            Err(error) => return Err(failed(error)),
        };
        let mut by_name: HashMap<String, Vec<EntryId>> = HashMap::new();
        for (id, entry) in &entries {
            by_name.entry(entry.head.name.clone()).or_default().push(*id);
        }
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path).map_err(failed)?;
        let mut ledger = Ledger {
            folder: folder.to_owned(),
            file,
            length,
            length_when_new: length,
            entries,
            by_name,
            is_behind: false,
            tried: None,
            failures: 0,
        };
        if length == 0 {
            ledger.is_behind = true;
            ledger.catch_up();
        } else {
            // The torn end of a record that was being written when its writer was killed.
            ledger.file.set_len(length).map_err(failed)?;
        }
        Ok(ledger)
    }

    pub(super) fn entries(&self) -> &BTreeMap<EntryId, Entry> {
        &self.entries
    }

    /// Entries of files of this name: one, and those of former files that are not done with.
    pub(super) fn of_name(&self, name: &str) -> impl Iterator<Item = (EntryId, &Entry)> {
        let ids = self.by_name.get(name).into_iter().flatten();
        ids.filter_map(|id| Some((*id, self.entries.get(id)?)))
    }

    pub(super) fn get(&self, id: EntryId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    /// Writes that failed so far.
    pub(super) fn failures(&self) -> u64 {
        self.failures
    }

    /// Enters a file. Only if that could be written: after a restart, a file that is not in the ledger counts from zero.
    pub(super) fn enter(&mut self, id: EntryId, head: Head) -> bool {
        self.entries.insert(id, Entry::new(head.clone()));
        self.by_name.entry(head.name.clone()).or_default().push(id);
        self.write(&[Record::Head(id, head)]);
        if self.is_behind {
            self.take_out(id);
        }
        !self.is_behind
    }

    /// Notes something about the file itself.
    pub(super) fn change(&mut self, id: EntryId, change: impl FnOnce(&mut Head)) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let former = entry.head.clone();
        change(&mut entry.head);
        if entry.head != former {
            let head = entry.head.clone();
            self.write(&[Record::Head(id, head)]);
        }
    }

    /// Notes what is about to be sent to a target, and whether it says that the source has ended.
    pub(super) fn sent(
        &mut self,
        id: EntryId,
        target: u64,
        descriptors: &DescriptorList,
        state: &PusherState,
        end: End,
    ) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let known = entry.descriptors.len();
        if descriptors.len() > known {
            entry.descriptors = descriptors.clone();
            self.write(&[Record::Descriptors(id, known, descriptors.clone())]);
        }
        self.set(id, target, TargetState { state: state.clone(), end });
    }

    /// Notes what a target has answered.
    pub(super) fn answered(&mut self, id: EntryId, target: u64, state: &PusherState) {
        let of = self.get(id).and_then(|entry| entry.targets.get(&target));
        let end = of.map(|of| of.end).unwrap_or_default();
        self.set(id, target, TargetState { state: state.clone(), end });
    }

    fn set(&mut self, id: EntryId, target: u64, of: TargetState) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let former = entry.targets.insert(target, of.clone()).map(|of| of.state);
        let former = former.as_ref();
        let state = &of.state;
        let values = former.is_none_or(|former| former.values != state.values).then(|| state.values.clone());
        let base = former.is_none_or(|former| former.base != state.base).then(|| state.base.clone());
        self.write(&[Record::Target(id, target, of, values, base)]);
    }

    /// Notes that every target has everything of a file; what was sent is kept, in case the file is written again.
    pub(super) fn end(&mut self, id: EntryId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.head.prefix = Some((entry.descriptors.len(), entry.descriptors.hash()));
        entry.descriptors = DescriptorList::default();
        let mut records = vec![Record::Head(id, entry.head.clone())];
        for (target, of) in &mut entry.targets {
            of.end = End::Known;
            records.push(Record::Target(id, *target, of.clone(), None, None));
        }
        self.write(&records);
    }

    /// Notes that an ended file is written again: to every target as another source, from what it has of it on.
    pub(super) fn revive(&mut self, id: EntryId, descriptors: &DescriptorList) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.head.prefix = None;
        entry.descriptors = descriptors.clone();
        for of in entry.targets.values_mut() {
            let state = &mut of.state;
            let base = state.values.take().or_else(|| state.base.take());
            *state = PusherState {
                incarnation: metrifold_model::Incarnation(rand::random()),
                // Numbers go on, so that a late answer to the former source is not taken for one to this.
                sent: state.sent,
                acked: metrifold_model::Seq(0),
                epoch: None,
                values: None,
                base,
                answered: state.answered,
            };
            of.end = End::Open;
        }
        let records = entry.records(id);
        self.write(&records);
    }

    /// Forgets a file that is gone.
    pub(super) fn forget(&mut self, id: EntryId) {
        if self.take_out(id) {
            self.write(&[Record::Gone(id)]);
        }
    }

    fn take_out(&mut self, id: EntryId) -> bool {
        let Some(entry) = self.entries.remove(&id) else { return false };
        if let Some(ids) = self.by_name.get_mut(&entry.head.name) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_name.remove(&entry.head.name);
            }
        }
        true
    }

    /// Writes again what somebody removed, or what found no room; called now and then.
    pub(super) fn look_after(&mut self) {
        let same = |metadata: std::fs::Metadata| {
            self.file.metadata().is_ok_and(|own| (own.dev(), own.ino()) == (metadata.dev(), metadata.ino()))
        };
        let is_there = std::fs::metadata(self.folder.join(FILE_NAME)).is_ok_and(same);
        self.is_behind |= !is_there;
        let is_due = self.tried.is_none_or(|tried| tried.elapsed() >= RETRY);
        if self.is_behind && is_due {
            self.catch_up();
        }
    }

    fn write(&mut self, records: &[Record]) {
        if self.is_behind {
            return self.look_after();
        }
        let mut bytes = Vec::new();
        records.iter().for_each(|record| frame(&record.encode(), &mut bytes));
        match self.file.write_all_at(&bytes, self.length) {
            Ok(()) => self.length += bytes.len() as u64,
            Err(error) => self.fail(&error),
        }
        if self.length > REWRITE_BYTES_MIN && self.length / REWRITE_GROWTH > self.length_when_new {
            self.catch_up();
        }
    }

    /// Writes the whole ledger anew.
    fn catch_up(&mut self) {
        self.tried = Some(Monotonic::now());
        match self.rewritten() {
            Ok((file, length)) => {
                if std::mem::replace(&mut self.is_behind, false) && self.failures > 0 {
                    tracing::info!("the ledger can be written again");
                }
                (self.file, self.length, self.length_when_new) = (file, length, length);
            }
            // A ledger that is only long goes on as it is.
            Err(error) if !self.is_behind => tracing::debug!(%error, "the ledger stays long"),
            Err(error) => self.fail(&error),
        }
    }

    fn rewritten(&self) -> std::io::Result<(File, u64)> {
        let (path, new) = (self.folder.join(FILE_NAME), self.folder.join(NEW_NAME));
        let mut bytes = MAGIC.to_vec();
        for (id, entry) in &self.entries {
            entry.records(*id).iter().for_each(|record| frame(&record.encode(), &mut bytes));
        }
        let write = || {
            let mut file =
                File::options().read(true).write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(&bytes)?;
            file.sync_data()?;
            std::fs::rename(&new, &path)?;
            Ok((file, bytes.len() as u64))
        };
        // What was written of it takes room that others need.
        write().inspect_err(|_| drop(std::fs::remove_file(&new)))
    }

    fn fail(&mut self, error: &std::io::Error) {
        if !std::mem::replace(&mut self.is_behind, true) || self.failures == 0 {
            let path = self.folder.join(FILE_NAME);
            tracing::error!(
                path = %path.display(), %error,
                "the ledger cannot be written: known files go on being pushed, new ones wait until it can be"
            );
        }
        self.failures += 1;
        self.tried = Some(Monotonic::now());
    }
}

fn frame(record: &[u8], bytes: &mut Vec<u8>) {
    // A record is bounded by what a source may hold, far below 4 GiB.
    bytes.extend_from_slice(&(record.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(record).to_le_bytes());
    bytes.extend_from_slice(record);
}

/// The entries that a ledger's bytes lead to, and how far they are whole.
fn replay(bytes: &[u8]) -> (BTreeMap<EntryId, Entry>, u64) {
    let mut entries = BTreeMap::new();
    let mut rest = &bytes[MAGIC.len()..];
    while let Some(record) = first_record(rest) {
        if Record::apply(record, &mut entries).is_none() {
            break;
        }
        rest = &rest[FRAME_BYTES + record.len()..];
    }
    if !rest.is_empty() {
        tracing::warn!(bytes = rest.len(), "the ledger ends in a record that is not whole; it is cut off");
    }
    (entries, (bytes.len() - rest.len()) as u64)
}

fn first_record(bytes: &[u8]) -> Option<&[u8]> {
    let mut head = [0; FRAME_BYTES];
    let mut rest = bytes;
    rest.read_exact(&mut head).ok()?;
    let [length, checksum] =
        [&head[..4], &head[4..]].map(|word| word.first_chunk().copied().map_or(0, u32::from_le_bytes));
    let record = rest.get(..length as usize)?;
    (crc32fast::hash(record) == checksum).then_some(record)
}

#[cfg(test)]
mod tests {
    use metrifold_model::{Descriptor, Epoch, Incarnation, Kind, Labels, Seq, Values};
    use metrifold_segment::{DbIdentity, ProcessIdentity};
    use metrifold_session::Instant;

    use super::*;

    const ID: EntryId = EntryId(7);
    const TARGET: u64 = 1;

    fn head() -> Head {
        Head {
            name: "counter_1.db".into(),
            file: DbIdentity { inode: 2, born: 3 },
            owner: Some(ProcessIdentity { pid: 1, start_ticks: 4, pid_namespace: 5 }),
            unseen_writers: 1,
            prefix: None,
        }
    }

    fn descriptors(count: usize) -> DescriptorList {
        let counter = |number: usize| {
            let name = format!("c{number}");
            Descriptor::new(Kind::Counter, name.clone(), format!("{name}_total"), Labels::default(), "")
        };
        (0..count).map(counter).collect()
    }

    fn state(sent: u64, values: &[f64]) -> PusherState {
        PusherState {
            incarnation: Incarnation(7),
            sent: Seq(sent),
            acked: Seq(sent - 1),
            epoch: Some(Epoch(9)),
            values: Some(Values::new(values.to_vec(), vec![f64::NAN])),
            base: None,
            answered: Instant(8),
        }
    }

    /// A ledger with everything that one can hold.
    fn full(folder: &Path) -> Ledger {
        let mut ledger = Ledger::open(folder).expect("opens");
        assert!(ledger.enter(ID, head()));
        ledger.sent(ID, TARGET, &descriptors(1), &state(1, &[1.0]), End::Open);
        ledger.answered(ID, TARGET, &state(1, &[1.0]));
        ledger.sent(ID, TARGET, &descriptors(3), &state(2, &[1.0, 2.0, -0.0]), End::Sent);
        ledger.end(ID);
        ledger.revive(ID, &descriptors(4));
        ledger.sent(ID, TARGET, &descriptors(5), &state(3, &[1.0; 5]), End::Open);
        assert!(ledger.enter(EntryId(8), Head { name: "gauge_max_1.db".into(), ..head() }));
        ledger.forget(EntryId(8));
        ledger
    }

    #[test]
    fn what_was_noted_is_there_after_a_kill() {
        let folder = tempfile::tempdir().expect("a directory");
        let ledger = full(folder.path());
        let again = Ledger::open(folder.path()).expect("opens");
        assert_eq!(again.entries, ledger.entries);
        assert_eq!(again.of_name("counter_1.db").count(), 1);
    }

    #[test]
    fn a_revived_file_begins_with_what_was_pushed_as_its_base() {
        let folder = tempfile::tempdir().expect("a directory");
        let mut ledger = Ledger::open(folder.path()).expect("opens");
        ledger.enter(ID, head());
        ledger.sent(ID, TARGET, &descriptors(1), &state(1, &[5.0]), End::Sent);
        ledger.end(ID);
        ledger.revive(ID, &descriptors(1));
        let of = &Ledger::open(folder.path()).expect("opens").entries[&ID].targets[&TARGET];
        assert_eq!((of.end, of.state.acked, of.state.epoch), (End::Open, Seq(0), None));
        assert_ne!(of.state.incarnation, Incarnation(7));
        assert_eq!((&of.state.values, &of.state.base), (&None, &state(1, &[5.0]).values));
    }

    /// A kill in the middle of a write leaves any part of a record; what came before it stands.
    #[test]
    fn a_torn_end_is_cut_off_at_every_byte() {
        let folder = tempfile::tempdir().expect("a directory");
        full(folder.path());
        let path = folder.path().join(FILE_NAME);
        let whole = std::fs::read(&path).expect("readable");
        let mut lengths = std::collections::BTreeSet::new();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).expect("writable");
            let mut ledger = Ledger::open(folder.path()).expect("a torn ledger opens");
            lengths.insert(ledger.length);
            assert!(ledger.enter(EntryId(99), head()), "and can be written");
            let again = Ledger::open(folder.path()).expect("opens");
            assert_eq!(again.entries, ledger.entries, "cut at {cut}");
        }
        assert!(lengths.len() > 5, "{lengths:?}");
    }

    #[test]
    fn a_ledger_that_somebody_removed_is_written_again() {
        let folder = tempfile::tempdir().expect("a directory");
        let mut ledger = full(folder.path());
        std::fs::remove_file(folder.path().join(FILE_NAME)).expect("removable");
        ledger.tried = None;
        ledger.look_after();
        assert_eq!(Ledger::open(folder.path()).expect("opens").entries, ledger.entries);
    }

    #[test]
    fn a_long_ledger_is_written_anew() {
        let folder = tempfile::tempdir().expect("a directory");
        let mut ledger = Ledger::open(folder.path()).expect("opens");
        ledger.enter(ID, head());
        let values = vec![0.5; 10_000];
        for number in 1..200_u32 {
            let mut values = values.clone();
            values[0] = f64::from(number);
            ledger.sent(ID, TARGET, &descriptors(1), &state(u64::from(number), &values), End::Open);
        }
        assert!(ledger.length < 2 * REWRITE_BYTES_MIN, "{}", ledger.length);
        let again = Ledger::open(folder.path()).expect("opens");
        assert_eq!(again.entries, ledger.entries);
    }

    #[test]
    fn another_file_is_refused_by_name() {
        let folder = tempfile::tempdir().expect("a directory");
        std::fs::write(folder.path().join(FILE_NAME), b"MTFDLDG9 and more").expect("writable");
        let error = Ledger::open(folder.path()).err().expect("refused");
        assert!(error.to_string().contains("ledger") && error.to_string().contains("version"), "{error}");
    }
}
