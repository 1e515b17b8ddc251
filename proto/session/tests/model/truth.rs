//! What must hold in every state, and the bounds of promise 1 that excuse a loss.

use metrifold_model::{DoubleDouble, SeriesKey};
use metrifold_session::{Archived, ShardSnapshot};
use stateright::{Model, Property};

use crate::{
    pushers::descriptors,
    world::{Universe, World},
};

pub const TRUTH: &str = "never more than what was counted";
pub const MONOTONE: &str = "no exporter ever shows less than before";
pub const EXACT: &str = "at rest, exact within the bounds of promise 1";
pub const EPOCH: &str = "no record before an epoch stands";
pub const NO_DEAD_END: &str = "every run can come to rest";
pub const REST: &str = "some run comes to rest";

/// What a shard shows of source `index`: archive plus values minus bases.
pub fn merged(shard: &ShardSnapshot, index: usize) -> u8 {
    let list = descriptors(index);
    let key: SeriesKey = list.entries()[0].key();
    let archived = match shard.archive.series.get(&key).map(|series| series.value) {
        Some(Archived::Sum(sum)) => sum,
        _ => DoubleDouble::ZERO,
    };
    let live = shard
        .records
        .values()
        .filter(|record| record.descriptors.entries().first().is_some_and(|first| first.key() == key))
        .filter(|record| !record.values.slots.is_empty())
        .map(|record| DoubleDouble::difference(record.values.slot(0), record.base.slot(0)));
    let sum = live.fold(archived, |sum, delta| sum + delta).round();
    // A negative sum must be found as well: it saturates to a number that no source counts to.
    if sum < 0.0 { u8::MAX } else { sum as u8 }
}

/// Nothing is under way, every source has ended and is folded.
fn is_at_rest(world: &World) -> bool {
    let head = &world.store.shard.head;
    world.network.is_empty()
        && world.sources.iter().all(|source| source.has_ended && source.holder.is_none())
        && head.epoch.is_some()
        && !head.sealed
        && !head.settling
        && world.store.shard.records.is_empty()
        && world.servers.iter().all(|server| server.commit.is_none())
}

fn is_exact(world: &World) -> bool {
    world.sources.iter().enumerate().all(|(index, source)| {
        let merged = merged(&world.store.shard, index);
        let least = if source.was_killed { source.acknowledged } else { source.counted };
        merged <= source.counted && (merged >= least || source.is_excused || world.was_late)
    })
}

pub fn properties() -> Vec<Property<Universe>> {
    vec![
        Property::always(TRUTH, |_, world: &World| {
            let sources = world.sources.iter().enumerate();
            sources.into_iter().all(|(index, source)| merged(&world.store.shard, index) <= source.counted)
        }),
        Property::always(MONOTONE, |_, world: &World| !world.has_fallen),
        Property::always(EXACT, |_, world: &World| !is_at_rest(world) || is_exact(world)),
        Property::always(EPOCH, |_, world: &World| {
            let shard = &world.store.shard;
            shard.head.epoch.is_some() || shard.records.is_empty()
        }),
        Property::always(NO_DEAD_END, |universe: &Universe, world: &World| {
            let mut actions = Vec::new();
            universe.actions(world, &mut actions);
            is_at_rest(world)
                || actions.into_iter().any(|action| universe.next_state(world, action).is_some())
        }),
        Property::sometimes(REST, |_, world: &World| is_at_rest(world)),
    ]
}
