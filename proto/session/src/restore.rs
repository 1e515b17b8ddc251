//! What a shard starts again with after its store lost or rolled back its contents.

use std::sync::Arc;

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
    };
    for copy in [unit, other] {
        for (incarnation, record) in &copy.records {
            let highest = restored.records.get(incarnation).map_or(Seq(0), |kept: &Arc<Record>| kept.seq);
            if record.seq > highest && may_keep(unit, copy, *incarnation, record) {
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

fn may_keep(unit: &ShardSnapshot, copy: &ShardSnapshot, incarnation: Incarnation, record: &Record) -> bool {
    let unit_knows = unit.records.contains_key(&incarnation) || unit.tombstones.contains_key(&incarnation);
    let is_fresh = copy.head.epoch.is_some_and(|epoch| record.epoch == epoch && copy.head.settling);
    copy.head.counter == unit.head.counter || unit_knows || is_fresh
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
