//! What a shard starts again with after its store lost or rolled back its contents.

use std::{sync::Arc, time::Duration};

use metrifold_model::{Epoch, Incarnation, Seq};

use crate::{Instant, Record, ShardHead, ShardSnapshot};

/// Joins what the store still has with what a server last read of it.
///
/// Archive, tombstones and bases are one unit: that of the copy with the higher counter is taken whole. Records are
/// kept by the highest seq, with their base from that unit; one that is not above its tombstone is dropped. A record
/// that the unit does not know is kept only if it cannot have been folded and trimmed in between: its copy is as new as
/// the unit, or it was pushed since the store's last restore.
///
/// The result has the new `epoch` and is settling from `now` on. The archive's `version` is to be set by the caller,
/// who has the randomness.
pub fn restore(
    store: &ShardSnapshot,
    memory: Option<&ShardSnapshot>,
    epoch: Epoch,
    now: Instant,
) -> ShardSnapshot {
    let empty = ShardSnapshot::default();
    let memory = memory.unwrap_or(&empty);
    let (unit, other) =
        if memory.head.counter > store.head.counter { (memory, store) } else { (store, memory) };
    let mut restored = ShardSnapshot {
        head: ShardHead {
            epoch: Some(epoch),
            sealed: false,
            changed: now,
            settling: true,
            counter: unit.head.counter,
            version: unit.head.version,
            age: unit.head.age,
        },
        now,
        archive: unit.archive.clone(),
        records: Default::default(),
        tombstones: unit.tombstones.clone(),
        unreadable: store.unreadable.clone(),
    };
    for copy in [unit, other] {
        for (incarnation, record) in &copy.records {
            let highest = restored.records.get(incarnation).map_or(Seq(0), |kept: &Arc<Record>| kept.seq);
            let is_kept = may_keep(unit, copy, *incarnation) || is_fresh(store, copy, record);
            if record.seq > highest && is_kept {
                restored.records.insert(*incarnation, rebased(unit, *incarnation, record));
            }
        }
    }
    restored.records.retain(|incarnation, record| {
        restored
            .tombstones
            .get(incarnation)
            .is_none_or(|tombstone| record.seq > tombstone.seq && !tombstone.ended)
    });
    restored
}

/// Whether [`restore`] must be carried out for a server that last read `memory`: the shard is closed, or it is still
/// settling and `memory` has a newer unit or a later push. A server asks this at every read of the shard, and takes the
/// read as its new memory only if the answer is no.
pub fn needs_restore(store: &ShardSnapshot, memory: Option<&ShardSnapshot>, settle: Duration) -> bool {
    let Some(epoch) = store.head.epoch.filter(|_| !store.head.sealed) else { return true };
    if store.head.is_settled(store.now, settle) {
        return false;
    }
    memory.is_some_and(|memory| {
        memory.head.counter > store.head.counter
            || restore(store, Some(memory), epoch, store.now).records.iter().any(|(incarnation, record)| {
                store.records.get(incarnation).is_none_or(|now| record.seq > now.seq)
            })
    })
}

/// Whether a record cannot have been folded and trimmed between `copy` and `unit`.
fn may_keep(unit: &ShardSnapshot, copy: &ShardSnapshot, incarnation: Incarnation) -> bool {
    let unit_knows = unit.records.contains_key(&incarnation) || unit.tombstones.contains_key(&incarnation);
    copy.head.counter == unit.head.counter || unit_knows
}

/// Whether a record was pushed since the restore that a newer unit now replaces. Only what the store holds at this
/// moment can tell: a memory or an old snapshot of a settling shard says nothing of the folds that came after it.
fn is_fresh(store: &ShardSnapshot, copy: &ShardSnapshot, record: &Record) -> bool {
    let is_open = store.head.settling && !store.head.sealed;
    std::ptr::eq(store, copy) && is_open && store.head.epoch == Some(record.epoch)
}

fn rebased(unit: &ShardSnapshot, incarnation: Incarnation, record: &Arc<Record>) -> Arc<Record> {
    let tombstone = unit.tombstones.get(&incarnation).map(|tombstone| &tombstone.values);
    let former = unit.records.get(&incarnation).map(|record| &record.base);
    match tombstone.or(former) {
        Some(base) if *base != record.base => {
            Arc::new(Record { base: base.clone(), ..Record::clone(record) })
        }
        _ => record.clone(),
    }
}
