//! Reading a shard consistently, fetching only what changed since the last read.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Display,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use metrifold_format::{decode_archive, decode_tombstone};
use metrifold_model::{DescriptorList, Epoch, Incarnation, Namespace};
use metrifold_redis::{
    Dump, Forget, Heads, Look, RECORD_FIELDS, RECORD_HEADS, RECORD_VALUES, RecordHead, STATE_FIELDS,
    ShardDump, ShardLook, decode_record, decode_record_head,
    keys::{STAGED, ShardKeys},
    parse_dump, parse_heads, parse_look,
};
use metrifold_session::{Archive, Part, Record, ShardSnapshot, Tombstone};

use super::{RedisStore, connection::BATCH, error::of_reply};
use crate::{ShardIndex, StoreError};

/// Reads in parts before the shard is read in one step, which stops all pushes for so long.
const ATTEMPTS: usize = 3;
/// Records whose heads are read in one step, which takes Redis less than a millisecond.
const HEADS: usize = 128;
/// Batches under way at once.
const BATCHES_AHEAD: usize = 2;
const DESCRIPTORS: &str = "d";

/// What the last read of a shard found. Immutable; the next read makes another one.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    epoch: Option<Epoch>,
    version: Option<u64>,
    archive: Arc<Archive>,
    /// As in Redis: an entry that did not change stands for a tombstone that did not.
    folds: HashMap<String, Bytes>,
    tombstones: BTreeMap<Incarnation, Arc<Tombstone>>,
    records: BTreeMap<Incarnation, (RecordHead, Arc<Record>)>,
    /// What could not be read, and why.
    unreadable: BTreeMap<Part, Arc<str>>,
}

impl Known {
    /// Whether the list of sources names one of which there is no record.
    fn has_lost(&self, source: &Incarnation) -> bool {
        !self.records.contains_key(source) && !self.unreadable.contains_key(&Part::Record(*source))
    }

    fn set_aside(&mut self, part: Part, error: impl Display) {
        self.unreadable.insert(part, error.to_string().into());
    }
}

type Descriptors = HashMap<(u64, u64), DescriptorList>;

impl RedisStore {
    /// Reads a shard; the look is that of the same moment.
    pub(super) async fn read(
        &self,
        namespace: &Namespace,
        shard: ShardIndex,
    ) -> Result<(ShardLook, ShardSnapshot), StoreError> {
        let mut look = self.look(namespace, shard).await?;
        for _ in 0..ATTEMPTS {
            let keys = ShardKeys::new(namespace, shard.0);
            let known = self.read_parts(&keys, namespace, shard, &look).await?;
            let state = [(keys.archive(), STATE_FIELDS.to_vec())];
            let is_same = self.connection.hmget_each(&state).await?.iter().all(|state| look.is_still(state));
            if is_same {
                self.forget_expired(namespace, shard, &look, &known).await?;
                return Ok(self.remember(namespace, shard, look, known));
            }
            look = self.look(namespace, shard).await?;
        }
        self.dump(namespace, shard, &look).await
    }

    async fn look(&self, namespace: &Namespace, shard: ShardIndex) -> Result<ShardLook, StoreError> {
        let reply = self.connection.run(&Look::call(namespace, shard.0)).await?;
        let look = parse_look(&reply).map_err(of_reply)?;
        match look.shards {
            Some(actual) if actual != self.settings.shards => {
                Err(of_reply(metrifold_redis::ReplyError::Shards { actual: actual.to_string() }))
            }
            _ => Ok(look),
        }
    }

    async fn read_parts(
        &self,
        keys: &ShardKeys,
        namespace: &Namespace,
        shard: ShardIndex,
        look: &ShardLook,
    ) -> Result<Known, StoreError> {
        let mut known = self.known(namespace, shard);
        if known.epoch != look.head.epoch {
            // Another epoch is another history: equal numbers no longer stand for equal contents.
            known = Arc::default();
        }
        let mut now = Known { epoch: look.head.epoch, version: Some(look.head.version), ..Known::default() };
        if known.version == now.version {
            now.archive = known.archive.clone();
            now.folds = known.folds.clone();
            now.tombstones = known.tombstones.clone();
            let stay = known.unreadable.iter().filter(|(part, _)| !matches!(part, Part::Record(_)));
            now.unreadable = stay.map(|(part, reason)| (*part, reason.clone())).collect();
        } else {
            let blob = self.connection.hmget(&keys.archive(), &["blob".to_owned()]).await?;
            let blob = blob.first().map(Bytes::as_ref).unwrap_or_default();
            match decode_archive(blob) {
                Ok(archive) => now.archive = Arc::new(archive),
                Err(error) => now.set_aside(Part::Archive, error),
            }
            now.folds = self.connection.hgetall(&keys.folds()).await?;
            self.read_tombstones(keys, &known, &mut now).await?;
        }
        self.read_records(namespace, shard, &known, &look.incarnations, &mut now).await?;
        Ok(now)
    }

    async fn read_tombstones(
        &self,
        keys: &ShardKeys,
        known: &Known,
        now: &mut Known,
    ) -> Result<(), StoreError> {
        let mut changed = Vec::new();
        for (name, fold) in &now.folds {
            // What is no incarnation is none of ours.
            let Ok(incarnation) = name.parse() else { continue };
            match known.tombstones.get(&incarnation).filter(|_| known.folds.get(name) == Some(fold)) {
                Some(tombstone) => drop(now.tombstones.insert(incarnation, tombstone.clone())),
                None => changed.push(incarnation),
            }
        }
        let names: Vec<_> = changed.iter().map(Incarnation::to_string).collect();
        let blobs = self.connection.hmget(&keys.tombs(), &names).await?;
        // One that is empty was trimmed in between; the read is repeated then.
        for (incarnation, blob) in changed.into_iter().zip(blobs).filter(|(_, blob)| !blob.is_empty()) {
            match decode_tombstone(&blob) {
                Ok(tombstone) => drop(now.tombstones.insert(incarnation, Arc::new(tombstone))),
                Err(error) => now.set_aside(Part::Tombstone(incarnation), error),
            }
        }
        Ok(())
    }

    async fn read_records(
        &self,
        namespace: &Namespace,
        shard: ShardIndex,
        known: &Known,
        incarnations: &[Incarnation],
        now: &mut Known,
    ) -> Result<(), StoreError> {
        let keys = &ShardKeys::new(namespace, shard.0);
        let mut lists = lists(known);
        // Of those that nothing is known of, everything is new.
        let (old, new): (Vec<_>, Vec<_>) =
            incarnations.iter().copied().partition(|one| known.records.contains_key(one));
        let mut changed: Vec<_> = new.into_iter().map(|one| (one, false)).collect();
        for batch in old.chunks(HEADS) {
            let reply = self.connection.run(&Heads::call(namespace, shard.0, batch)).await?;
            for (incarnation, head) in batch.iter().zip(parse_heads(&reply)) {
                let head = match head {
                    Ok(Some(head)) => head,
                    Ok(None) => continue,
                    Err(error) => {
                        now.set_aside(Part::Record(*incarnation), error);
                        continue;
                    }
                };
                match known.records.get(incarnation).and_then(|known| carried_on(known, head)) {
                    Some(record) => drop(now.records.insert(*incarnation, (head, record))),
                    None => changed.push((*incarnation, lists.contains_key(&list_key(&head)))),
                }
            }
        }
        let moved = self.fetch(keys, &changed, &mut lists, now).await?;
        // Their descriptors changed between the two reads.
        let moved: Vec<_> = moved.into_iter().map(|incarnation| (incarnation, false)).collect();
        self.fetch(keys, &moved, &mut lists, now).await?;
        Ok(())
    }

    /// Fetches records, without descriptors where the flag says that they are known. Returns those whose descriptors
    /// turned out to be others.
    async fn fetch(
        &self,
        keys: &ShardKeys,
        wanted: &[(Incarnation, bool)],
        lists: &mut Descriptors,
        now: &mut Known,
    ) -> Result<Vec<Incarnation>, StoreError> {
        let mut moved = Vec::new();
        // Redis prepares a batch while the one before is decoded, and no more than that is held of raw replies.
        let batches: Vec<_> = wanted.chunks(BATCH).map(|batch| self.fetch_batch(keys, batch)).collect();
        let mut batches = stream::iter(batches).buffered(BATCHES_AHEAD);
        while let Some(batch) = batches.try_next().await? {
            for ((incarnation, has_list), reply) in batch {
                let head = decode_record_head(&reply[..RECORD_HEADS.len()]);
                let list = head.as_ref().ok().and_then(|head| lists.get(&list_key(head.as_ref()?)).cloned());
                if has_list && list.is_none() && matches!(head, Ok(Some(_))) {
                    moved.push(incarnation);
                    continue;
                }
                match decode_record(&reply, |_| list) {
                    Ok(None) => {}
                    Ok(Some((head, record))) => {
                        lists.insert(list_key(&head), record.descriptors.clone());
                        now.records.insert(incarnation, (head, Arc::new(record)));
                    }
                    Err(error) => now.set_aside(Part::Record(incarnation), error),
                }
            }
        }
        Ok(moved)
    }

    /// Whole records, with their values wherever these are kept.
    async fn fetch_batch(
        &self,
        keys: &ShardKeys,
        batch: &[(Incarnation, bool)],
    ) -> Result<Vec<((Incarnation, bool), Vec<Bytes>)>, StoreError> {
        let requests: Vec<_> =
            batch.iter().map(|(one, has_list)| (keys.record(*one), fields(*has_list))).collect();
        let mut replies = self.connection.hmget_each(&requests).await?;
        for (((incarnation, _), request), reply) in batch.iter().zip(&requests).zip(&mut replies) {
            if reply.get(RECORD_VALUES).is_some_and(|values| values == STAGED) {
                *reply = self.connection.with_values(request, &keys.values(*incarnation)).await?;
            }
        }
        Ok(batch.iter().copied().zip(replies).collect())
    }

    async fn dump(
        &self,
        namespace: &Namespace,
        shard: ShardIndex,
        look: &ShardLook,
    ) -> Result<(ShardLook, ShardSnapshot), StoreError> {
        let reply = self.connection.run_long(&Dump::call(namespace, shard.0, &look.incarnations)).await?;
        let ShardDump { look: mut dumped, archive, tombstones, records, unreadable } =
            parse_dump(&reply, &look.incarnations).map_err(of_reply)?;
        dumped.incarnations = look.incarnations.clone();
        let known = Known { archive: Arc::new(archive), tombstones, records, unreadable, ..Known::default() };
        Ok((dumped.clone(), snapshot(&dumped, &known)))
    }

    /// Takes sources out of the list whose records expired because no server role folded them in time.
    async fn forget_expired(
        &self,
        namespace: &Namespace,
        shard: ShardIndex,
        look: &ShardLook,
        known: &Known,
    ) -> Result<(), StoreError> {
        for incarnation in look.incarnations.iter().filter(|one| known.has_lost(one)) {
            let reply = self.connection.run(&Forget::call(namespace, shard.0, *incarnation)).await?;
            if reply.first().is_some_and(|count| count.as_ref() == b"1") {
                self.expired.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// What was last read of a source's descriptors.
    pub(super) fn descriptors_read(
        &self,
        namespace: &Namespace,
        shard: ShardIndex,
        source: Incarnation,
    ) -> Option<DescriptorList> {
        let known = self.known(namespace, shard);
        let record = known.records.get(&source).map(|(_, record)| &record.descriptors);
        record.or_else(|| Some(&known.tombstones.get(&source)?.descriptors)).cloned()
    }

    fn known(&self, namespace: &Namespace, shard: ShardIndex) -> Arc<Known> {
        self.known.get(&(namespace.clone(), shard)).map(|known| known.clone()).unwrap_or_default()
    }

    fn remember(
        &self,
        namespace: &Namespace,
        shard: ShardIndex,
        look: ShardLook,
        known: Known,
    ) -> (ShardLook, ShardSnapshot) {
        let snapshot = snapshot(&look, &known);
        self.known.insert((namespace.clone(), shard), Arc::new(known));
        (look, snapshot)
    }
}

fn snapshot(look: &ShardLook, known: &Known) -> ShardSnapshot {
    ShardSnapshot {
        head: look.head.clone(),
        now: look.now,
        archive: known.archive.clone(),
        records: known.records.iter().map(|(one, (_, record))| (*one, record.clone())).collect(),
        tombstones: known.tombstones.clone(),
        unreadable: known.unreadable.clone(),
    }
}

/// The record with this head, if what was last read of it is enough to tell.
fn carried_on((former, record): &(RecordHead, Arc<Record>), head: RecordHead) -> Option<Arc<Record>> {
    if *former == head {
        return Some(record.clone());
    }
    let is_same = (former.values_seq, list_key(former)) == (head.values_seq, list_key(&head));
    is_same.then(|| {
        let (seq, epoch, seen, ended) = (head.seq, head.epoch, head.seen, head.ended);
        Arc::new(Record { seq, epoch, seen, ended, ..Record::clone(record) })
    })
}

fn list_key(head: &RecordHead) -> (u64, u64) {
    (head.descriptors_count, head.descriptors_hash.0)
}

fn lists(known: &Known) -> Descriptors {
    let key = |(head, record): &(RecordHead, Arc<Record>)| (list_key(head), record.descriptors.clone());
    known.records.values().map(key).collect()
}

fn fields(has_list: bool) -> Vec<&'static str> {
    RECORD_FIELDS
        .iter()
        // An empty name stands for no field, so that the reply keeps its order.
        .map(|name| if has_list && *name == DESCRIPTORS { "" } else { *name })
        .collect()
}
