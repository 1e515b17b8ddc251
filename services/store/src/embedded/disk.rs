//! What survives a restart: archive, tombstones, who was live, and the last values of who has ended, in one database file.
//!
//! Values of live sources are not written: their pushers send them again. What must not be forgotten of a live source is
//! its base, the part of its values that the archive contains; on opening it becomes a tombstone with those values,
//! which counts the same. Nobody sends the values of an ended source again, so they stand here until they are folded.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use metrifold_format::{decode_archive, decode_tombstone, encode_archive, encode_tombstone};
use metrifold_model::{Incarnation, Namespace, Seq, Values};
use metrifold_session::{Archive, Instant, Part, Record, ShardHead, ShardSnapshot, Tombstone};
use parking_lot::Mutex;
use redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase, ReadableTable, Table, TableDefinition,
    WriteTransaction,
};

use crate::StoreError;

const FILE_NAME: &str = "metrifold.redb";
/// Version of what the tables hold.
const FORMAT: u64 = 2;
/// The oldest version that is still read: without [`ENDED`].
const FORMAT_MIN: u64 = 1;

/// `format` → [`FORMAT`].
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// Namespace → counter and age.
const HEADS: TableDefinition<'_, &str, (u64, u64)> = TableDefinition::new("heads");
/// Namespace → archive blob.
const ARCHIVES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("archives");
/// Namespace and incarnation → tombstone blob.
const TOMBSTONES: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("tombstones");
/// Namespace and incarnation of a live source → tombstone blob of its base; empty where there is none.
const LIVE: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("live");
/// Namespace and incarnation of a live source that has said that it ended → tombstone blob of its last values.
const ENDED: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("ended");

/// What stands in [`LIVE`] for a source of which the archive contains nothing.
const NO_BASE: &[u8] = &[];

/// The database of one data directory.
///
/// After an error of the file system, a full one among others, redb refuses everything until it is opened anew: that is
/// done before the next write. What was durable stays.
pub(super) struct Disk {
    path: PathBuf,
    /// `None` between an error and the next write.
    database: Mutex<Option<Database>>,
}

/// What is written of a head.
#[derive(Clone, Copy)]
pub(super) struct Head {
    counter: u64,
    age: Instant,
}

impl Head {
    pub(super) fn of(head: &ShardHead) -> Head {
        Head { counter: head.counter, age: head.age }
    }
}

/// A change of one namespace, as memory has carried it out.
pub(super) struct Entry {
    pub(super) namespace: Namespace,
    pub(super) change: Change,
}

pub(super) enum Change {
    /// A source has appeared, or has ended.
    Source { head: Head, incarnation: Incarnation, record: Arc<Record> },
    /// Sources were folded, tombstones trimmed; those that were missing since the start are not waited for any more. What is
    /// known of a missing one is its base.
    Commit {
        head: Head,
        archive: Arc<Archive>,
        folded: Vec<(Incarnation, Arc<Tombstone>)>,
        trimmed: Vec<Incarnation>,
        discarded: Vec<Incarnation>,
        missing: Vec<(Incarnation, Option<Arc<Tombstone>>)>,
    },
    /// Everything may have changed.
    Whole(Box<Whole>),
}

/// All of a namespace.
pub(super) struct Whole {
    pub(super) contents: ShardSnapshot,
    /// Sources that were live at the start and have not come back.
    pub(super) missing: BTreeSet<Incarnation>,
}

/// One namespace as it was left.
pub(super) struct Left {
    pub(super) namespace: Namespace,
    pub(super) counter: u64,
    pub(super) age: Instant,
    pub(super) archive: Archive,
    /// What was folded, and the bases of live sources.
    pub(super) tombstones: BTreeMap<Incarnation, Tombstone>,
    /// Sources that had not ended.
    pub(super) live: BTreeSet<Incarnation>,
    /// Sources that had ended and were not folded.
    pub(super) ended: Vec<Ended>,
    /// What could not be read, and why. It stays in the file.
    pub(super) unreadable: Unreadable,
}

type Unreadable = BTreeMap<Part, Arc<str>>;

/// A source's last values, and what the archive contains of them.
pub(super) struct Ended {
    pub(super) incarnation: Incarnation,
    pub(super) last: Tombstone,
    pub(super) base: Values,
}

impl Disk {
    /// Opens or makes the database in `directory`.
    pub(super) fn open(directory: &Path) -> Result<Disk, StoreError> {
        let refused =
            |cause: String| StoreError::Refused(format!("store.data_dir {}: {cause}", directory.display()));
        let mut maker = std::fs::DirBuilder::new();
        // What it holds is this user's affair.
        maker.recursive(true).mode(0o700).create(directory).map_err(|error| refused(error.to_string()))?;
        let path: PathBuf = directory.join(FILE_NAME);
        let database = Database::create(&path).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => {
                refused("another process uses it; give each server a directory of its own".into())
            }
            other => refused(other.to_string()),
        })?;
        let disk = Disk { path, database: Mutex::new(Some(database)) };
        disk.check_format(refused)?;
        Ok(disk)
    }

    /// Whether there is no file to be opened again after an error.
    pub(super) fn is_missing(&self) -> bool {
        self.database.lock().is_none() && !self.path.exists()
    }

    pub(super) fn remove(directory: &Path) {
        let _ = std::fs::remove_file(directory.join(FILE_NAME));
        let _ = std::fs::remove_dir(directory);
    }

    /// Of a directory that cannot be used as long as it is not there.
    #[cfg(test)]
    pub(super) fn closed(directory: &Path) -> Disk {
        Disk { path: directory.join(FILE_NAME), database: Mutex::new(None) }
    }

    fn check_format(&self, refused: impl Fn(String) -> StoreError) -> Result<(), StoreError> {
        let found = self.transact(|transaction| {
            let mut meta = transaction.open_table(META)?;
            let found = meta.get("format")?.map(|value| value.value());
            if found.is_none_or(|found| (FORMAT_MIN..FORMAT).contains(&found)) {
                meta.insert("format", FORMAT)?;
            }
            // Made now, so that reading never meets a missing table.
            Tables::open(transaction)?;
            Ok(found)
        })?;
        match found {
            None | Some(FORMAT_MIN..=FORMAT) => Ok(()),
            Some(other) => {
                Err(refused(format!("its format is {other}, this version reads {FORMAT_MIN} to {FORMAT}")))
            }
        }
    }

    /// Everything that was left.
    pub(super) fn load(&self) -> Result<Vec<Left>, StoreError> {
        let corrupt = |cause: &dyn std::fmt::Display| StoreError::Corrupt(cause.to_string());
        let guard = self.database.lock();
        let Some(database) = guard.as_ref() else { return Ok(Vec::new()) };
        let transaction = database.begin_read().map_err(|error| corrupt(&error))?;
        let heads = transaction.open_table(HEADS).map_err(|error| corrupt(&error))?;
        let mut left = Vec::new();
        for head in heads.iter().map_err(|error| corrupt(&error))? {
            let (name, numbers) = head.map_err(|error| corrupt(&error))?;
            let namespace = Namespace::new(name.value()).map_err(|error| corrupt(&error))?;
            let (counter, age) = numbers.value();
            left.push(
                load_namespace(&transaction, namespace, counter, Instant(age))
                    .map_err(|error| corrupt(&error))?,
            );
        }
        Ok(left)
    }

    /// Carries out changes, all or none; durable on return.
    pub(super) fn write(&self, entries: &[Entry]) -> Result<(), StoreError> {
        self.transact(|transaction| {
            let mut tables = Tables::open(transaction)?;
            entries
                .iter()
                .try_for_each(|Entry { namespace, change }| tables.write(namespace.as_str(), change))
        })
    }

    fn transact<T>(
        &self,
        act: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let mut guard = self.database.lock();
        let write = || -> Result<T, redb::Error> {
            let database = match guard.take() {
                Some(database) => database,
                None => Database::create(&self.path)?,
            };
            let transaction = database.begin_write()?;
            let done = act(&transaction)?;
            transaction.commit()?;
            *guard = Some(database);
            Ok(done)
        };
        write().map_err(|error| StoreError::Unavailable(error.to_string()))
    }
}

/// The tables of one transaction.
struct Tables<'a> {
    heads: Table<'a, &'static str, (u64, u64)>,
    archives: Table<'a, &'static str, &'static [u8]>,
    tombstones: Table<'a, (&'static str, u64), &'static [u8]>,
    live: Table<'a, (&'static str, u64), &'static [u8]>,
    ended: Table<'a, (&'static str, u64), &'static [u8]>,
}

impl<'a> Tables<'a> {
    fn open(transaction: &'a WriteTransaction) -> Result<Tables<'a>, redb::Error> {
        Ok(Tables {
            heads: transaction.open_table(HEADS)?,
            archives: transaction.open_table(ARCHIVES)?,
            tombstones: transaction.open_table(TOMBSTONES)?,
            live: transaction.open_table(LIVE)?,
            ended: transaction.open_table(ENDED)?,
        })
    }

    fn write(&mut self, namespace: &str, change: &Change) -> Result<(), redb::Error> {
        match change {
            Change::Source { head, incarnation, record } => {
                self.write_head(namespace, *head)?;
                self.write_source(namespace, *incarnation, record, head.age)
            }
            Change::Commit { head, archive, folded, trimmed, discarded, missing } => {
                self.write_head(namespace, *head)?;
                self.archives.insert(namespace, encode_archive(archive).as_slice())?;
                for incarnation in trimmed {
                    self.tombstones.remove((namespace, incarnation.0))?;
                }
                for (incarnation, tombstone) in folded {
                    self.write_tombstone(namespace, *incarnation, tombstone)?;
                    self.live.remove((namespace, incarnation.0))?;
                    self.ended.remove((namespace, incarnation.0))?;
                }
                for incarnation in discarded {
                    self.live.remove((namespace, incarnation.0))?;
                    self.ended.remove((namespace, incarnation.0))?;
                }
                for (incarnation, base) in missing {
                    self.live.remove((namespace, incarnation.0))?;
                    if let Some(base) = base {
                        self.write_tombstone(namespace, *incarnation, base)?;
                    }
                }
                Ok(())
            }
            Change::Whole(whole) => self.replace(namespace, whole),
        }
    }

    fn replace(&mut self, namespace: &str, Whole { contents, missing }: &Whole) -> Result<(), redb::Error> {
        let all = (namespace, 0)..=(namespace, u64::MAX);
        let stays = |part: fn(Incarnation) -> Part, source| {
            contents.unreadable.contains_key(&part(Incarnation(source)))
        };
        self.tombstones.retain_in(all.clone(), |key, _| stays(Part::Tombstone, key.1))?;
        self.live.retain_in(all.clone(), |key, _| stays(Part::Record, key.1))?;
        self.ended.retain_in(all, |key, _| stays(Part::Record, key.1))?;
        self.write_head(namespace, Head::of(&contents.head))?;
        if contents.unreadable_archive().is_none() {
            self.archives.insert(namespace, encode_archive(&contents.archive).as_slice())?;
        }
        for (incarnation, tombstone) in &contents.tombstones {
            self.write_tombstone(namespace, *incarnation, tombstone)?;
        }
        for incarnation in missing {
            self.live.insert((namespace, incarnation.0), NO_BASE)?;
        }
        for (incarnation, record) in &contents.records {
            self.write_source(namespace, *incarnation, record, contents.head.age)?;
        }
        Ok(())
    }

    fn write_source(
        &mut self,
        namespace: &str,
        incarnation: Incarnation,
        record: &Record,
        age: Instant,
    ) -> Result<(), redb::Error> {
        let key = (namespace, incarnation.0);
        match record.base.slots.is_empty() {
            true => self.live.insert(key, NO_BASE)?,
            false => self.live.insert(key, encode_tombstone(&base_of(record, age)).as_slice())?,
        };
        if record.ended {
            self.ended.insert(key, encode_tombstone(&last_of(record, age)).as_slice())?;
        }
        Ok(())
    }

    fn write_tombstone(
        &mut self,
        namespace: &str,
        incarnation: Incarnation,
        tombstone: &Tombstone,
    ) -> Result<(), redb::Error> {
        self.tombstones.insert((namespace, incarnation.0), encode_tombstone(tombstone).as_slice())?;
        Ok(())
    }

    fn write_head(&mut self, namespace: &str, head: Head) -> Result<(), redb::Error> {
        self.heads.insert(namespace, (head.counter, head.age.0))?;
        Ok(())
    }
}

/// For accounting, a live source with a base is the same as a tombstone with those values. It keeps no number: the
/// source's next push is above it, whatever it is.
fn base_of(record: &Record, age: Instant) -> Tombstone {
    Tombstone {
        seq: Seq(0),
        folded: age,
        worker: Arc::clone(&record.worker),
        descriptors: record.descriptors.clone(),
        values: record.base.clone(),
        ended: false,
    }
}

fn last_of(record: &Record, age: Instant) -> Tombstone {
    let values = record.values.clone();
    Tombstone { seq: record.seq, values, ended: true, ..base_of(record, age) }
}

fn load_namespace(
    transaction: &ReadTransaction,
    namespace: Namespace,
    counter: u64,
    age: Instant,
) -> Result<Left, Box<dyn std::error::Error>> {
    let mut unreadable = Unreadable::new();
    let archive = transaction.open_table(ARCHIVES)?.get(namespace.as_str())?;
    let archive = archive.map_or(Ok(Archive::default()), |blob| decode_archive(blob.value()));
    let archive = archive.unwrap_or_else(|error| {
        unreadable.insert(Part::Archive, error.to_string().into());
        Archive::default()
    });
    let mut tombstones =
        tombstones_of(transaction, TOMBSTONES, &namespace, Part::Tombstone, &mut unreadable)?;
    let last = tombstones_of(transaction, ENDED, &namespace, Part::Record, &mut unreadable)?;
    let mut ended = Vec::new();
    // Of one whose base cannot be read nobody knows what the archive has of it, and nothing more is taken.
    let mut bases = tombstones_of(transaction, LIVE, &namespace, Part::Record, &mut unreadable)?;
    for (incarnation, last) in last {
        if let Some(last) = last {
            let base = bases.remove(&incarnation).flatten().map(|base| base.values).unwrap_or_default();
            ended.push(Ended { incarnation, last, base });
        }
    }
    let live = bases.keys().copied().filter(|source| !unreadable.contains_key(&Part::Record(*source)));
    let live = live.collect();
    for (incarnation, base) in bases {
        // A tombstone proper holds the base too, and the last number.
        tombstones.entry(incarnation).or_insert(base);
    }
    let tombstones =
        tombstones.into_iter().filter_map(|(incarnation, of)| Some((incarnation, of?))).collect();
    Ok(Left { namespace, counter, age, archive, tombstones, live, ended, unreadable })
}

/// What a table holds of a namespace; `None` where a blob is empty.
fn tombstones_of(
    transaction: &ReadTransaction,
    table: TableDefinition<'_, (&'static str, u64), &'static [u8]>,
    namespace: &Namespace,
    part: fn(Incarnation) -> Part,
    unreadable: &mut Unreadable,
) -> Result<BTreeMap<Incarnation, Option<Tombstone>>, Box<dyn std::error::Error>> {
    let mut found = BTreeMap::new();
    for entry in
        transaction.open_table(table)?.range((namespace.as_str(), 0)..=(namespace.as_str(), u64::MAX))?
    {
        let (key, blob) = entry?;
        let incarnation = Incarnation(key.value().1);
        let tombstone = match blob.value() {
            [] => Ok(None),
            blob => decode_tombstone(blob).map(Some),
        };
        match tombstone {
            Ok(tombstone) => drop(found.insert(incarnation, tombstone)),
            Err(error) => drop(unreadable.insert(part(incarnation), error.to_string().into())),
        }
    }
    Ok(found)
}
