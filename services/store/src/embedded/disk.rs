//! What survives a restart: archive, tombstones and who was live, in one database file.
//!
//! Values of live sources are not written: their pushers send them again. What must not be forgotten of a live source is
//! its base, the part of its values that the archive contains; on opening it becomes a tombstone with those values,
//! which counts the same.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use metrifold_format::{decode_archive, decode_tombstone, encode_archive, encode_tombstone};
use metrifold_model::{Incarnation, Namespace, Seq};
use metrifold_session::{Archive, Commit, Instant, Record, ShardHead, Tombstone};
use parking_lot::Mutex;
use redb::{
    Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction,
};

use crate::StoreError;

const FILE_NAME: &str = "metrifold.redb";
/// Version of what the tables hold; another one is refused.
const FORMAT: u64 = 1;

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

/// The database of one data directory.
///
/// After an error of the file system, a full one among others, redb refuses everything until it is opened anew: that is
/// done before the next write. What was durable stays; births that were not yet durable are forgotten, which only lets a
/// shard settle earlier after a restart.
pub(super) struct Disk {
    path: PathBuf,
    /// `None` between an error and the next write.
    database: Mutex<Option<Database>>,
}

/// One namespace as it was left.
pub(super) struct Left {
    pub(super) namespace: Namespace,
    pub(super) counter: u64,
    pub(super) age: Instant,
    pub(super) archive: Archive,
    pub(super) tombstones: Vec<(Incarnation, Tombstone)>,
    pub(super) live: Vec<Incarnation>,
}

impl Disk {
    /// Opens or makes the database in `directory`.
    pub(super) fn open(directory: &Path) -> Result<Disk, StoreError> {
        let refused =
            |cause: String| StoreError::Refused(format!("store.data_dir {}: {cause}", directory.display()));
        std::fs::create_dir_all(directory).map_err(|error| refused(error.to_string()))?;
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

    fn check_format(&self, refused: impl Fn(String) -> StoreError) -> Result<(), StoreError> {
        let found = self.write(Durability::Immediate, |transaction| {
            let mut meta = transaction.open_table(META)?;
            let found = meta.get("format")?.map(|value| value.value());
            if found.is_none() {
                meta.insert("format", FORMAT)?;
            }
            // Made now, so that reading never meets a missing table.
            transaction.open_table(HEADS)?;
            transaction.open_table(ARCHIVES)?;
            transaction.open_table(TOMBSTONES)?;
            transaction.open_table(LIVE)?;
            Ok(found)
        })?;
        match found {
            None | Some(FORMAT) => Ok(()),
            Some(other) => Err(refused(format!("its format is {other}, this version reads {FORMAT}"))),
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

    /// Notes that a source is live. If it has a base this is durable on return, else soon.
    pub(super) fn born(
        &self,
        namespace: &Namespace,
        head: &ShardHead,
        incarnation: Incarnation,
        record: &Record,
    ) -> Result<(), StoreError> {
        let has_base = !record.base.slots.is_empty();
        let base = if has_base { encode_tombstone(&base_tombstone(record, head.age)) } else { Vec::new() };
        let durability = if has_base { Durability::Immediate } else { Durability::None };
        self.write(durability, |transaction| {
            write_head(transaction, namespace, head)?;
            transaction.open_table(LIVE)?.insert((namespace.as_str(), incarnation.0), base.as_slice())?;
            Ok(())
        })
    }

    /// Writes folds and trims; durable on return. `head` is the head afterwards.
    pub(super) fn commit(
        &self,
        namespace: &Namespace,
        head: &ShardHead,
        commit: &Commit,
    ) -> Result<(), StoreError> {
        self.write(Durability::Immediate, |transaction| {
            write_head(transaction, namespace, head)?;
            let archive = encode_archive(&commit.archive);
            transaction.open_table(ARCHIVES)?.insert(namespace.as_str(), archive.as_slice())?;
            let mut tombstones = transaction.open_table(TOMBSTONES)?;
            let mut live = transaction.open_table(LIVE)?;
            for incarnation in &commit.trimmed {
                tombstones.remove((namespace.as_str(), incarnation.0))?;
            }
            for (incarnation, _, tombstone) in &commit.folded {
                let blob = encode_tombstone(tombstone);
                tombstones.insert((namespace.as_str(), incarnation.0), blob.as_slice())?;
                live.remove((namespace.as_str(), incarnation.0))?;
            }
            Ok(())
        })
    }

    /// Writes the whole of a restored shard; durable on return.
    pub(super) fn replace(
        &self,
        namespace: &Namespace,
        contents: &metrifold_session::ShardSnapshot,
    ) -> Result<(), StoreError> {
        self.write(Durability::Immediate, |transaction| {
            write_head(transaction, namespace, &contents.head)?;
            let archive = encode_archive(&contents.archive);
            transaction.open_table(ARCHIVES)?.insert(namespace.as_str(), archive.as_slice())?;
            let all = (namespace.as_str(), 0)..=(namespace.as_str(), u64::MAX);
            let mut tombstones = transaction.open_table(TOMBSTONES)?;
            tombstones.retain_in(all.clone(), |_, _| false)?;
            for (incarnation, tombstone) in &contents.tombstones {
                let blob = encode_tombstone(tombstone);
                tombstones.insert((namespace.as_str(), incarnation.0), blob.as_slice())?;
            }
            let mut live = transaction.open_table(LIVE)?;
            live.retain_in(all, |_, _| false)?;
            for (incarnation, record) in &contents.records {
                let blob = match record.base.slots.is_empty() {
                    true => Vec::new(),
                    false => encode_tombstone(&base_tombstone(record, contents.head.age)),
                };
                live.insert((namespace.as_str(), incarnation.0), blob.as_slice())?;
            }
            Ok(())
        })
    }

    fn write<T>(
        &self,
        durability: Durability,
        act: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let mut guard = self.database.lock();
        let write = || -> Result<T, redb::Error> {
            let database = match guard.take() {
                Some(database) => database,
                None => Database::create(&self.path)?,
            };
            let mut transaction = database.begin_write()?;
            transaction.set_durability(durability)?;
            let done = act(&transaction)?;
            transaction.commit()?;
            *guard = Some(database);
            Ok(done)
        };
        write().map_err(|error| StoreError::Unavailable(format!("store.data_dir: {error}")))
    }
}

fn write_head(
    transaction: &WriteTransaction,
    namespace: &Namespace,
    head: &ShardHead,
) -> Result<(), redb::Error> {
    transaction.open_table(HEADS)?.insert(namespace.as_str(), (head.counter, head.age.0))?;
    Ok(())
}

/// For accounting, a live source with a base is the same as a tombstone with those values. It keeps no number: the
/// source's next push is above it, whatever it is.
fn base_tombstone(record: &Record, age: Instant) -> Tombstone {
    Tombstone {
        seq: Seq(0),
        folded: age,
        worker: Arc::clone(&record.worker),
        descriptors: record.descriptors.clone(),
        values: record.base.clone(),
        ended: false,
    }
}

fn load_namespace(
    transaction: &redb::ReadTransaction,
    namespace: Namespace,
    counter: u64,
    age: Instant,
) -> Result<Left, Box<dyn std::error::Error>> {
    let archive = match transaction.open_table(ARCHIVES)?.get(namespace.as_str())? {
        Some(blob) => decode_archive(blob.value())?,
        None => Archive::default(),
    };
    let all = (namespace.as_str(), 0)..=(namespace.as_str(), u64::MAX);
    let mut tombstones = Vec::new();
    for entry in transaction.open_table(TOMBSTONES)?.range(all.clone())? {
        let (key, blob) = entry?;
        tombstones.push((Incarnation(key.value().1), decode_tombstone(blob.value())?));
    }
    let mut live = Vec::new();
    for entry in transaction.open_table(LIVE)?.range(all)? {
        let (key, blob) = entry?;
        let incarnation = Incarnation(key.value().1);
        live.push(incarnation);
        // A tombstone proper holds the base too, and the last number.
        if !blob.value().is_empty() && !tombstones.iter().any(|(other, _)| *other == incarnation) {
            tombstones.push((incarnation, decode_tombstone(blob.value())?));
        }
    }
    Ok(Left { namespace, counter, age, archive, tombstones, live })
}
