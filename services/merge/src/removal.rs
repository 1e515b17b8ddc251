//! Series that were removed: counted, but not shown.
//!
//! A sum keeps what its removed children counted, so that it does not fall when they come back. It is shown while a
//! living source shows it; else it is hidden if the last word on it, of the dead, of the folded and of the living that
//! removed it, was its removal. That is the later of two times, so the order of deaths and folds does not show.
//!
//! A removed gauge needs no such rule: its source simply has it no more.

use std::sync::Arc;

use metrifold_model::{Marks, MergeMode, Presence, Values};
use metrifold_session::{Record, ShardSnapshot, is_dead};

use crate::{
    MergeOptions, Series,
    table::{Plan, Table},
};

/// What was said of a group of series.
#[derive(Clone, Copy, Default)]
struct Said {
    is_shown_by_living: bool,
    marks: Marks,
}

/// Takes the removed sums out of the merged column. Returns them: family, and labels without `le`.
pub(crate) fn hide(shards: &[Arc<ShardSnapshot>], options: &MergeOptions, table: &mut Table) -> Vec<Series> {
    if !is_any_removed(shards, options, table) {
        return Vec::new();
    }
    let mut said = vec![Said::default(); table.created.len()];
    for (place, shard) in shards.iter().enumerate() {
        for (group, marks) in &table.archive(place, &shard.archive, options).marks {
            said[*group].marks = said[*group].marks.join(*marks);
        }
        for record in shard.records.values() {
            let plan = table.plan(&record.descriptors, &record.worker, options);
            let is_live = !is_dead(record, shard.now, options.ttl);
            listen(&plan, &record.values, is_live, &mut said);
        }
    }
    let mut removed = Vec::new();
    for (series, cell) in table.series.iter().zip(&mut table.column) {
        let Said { is_shown_by_living, marks } = said[series.group];
        if cell.is_some() && !is_shown_by_living && marks.is_removed() {
            *cell = None;
            let mut labels = series.key.labels.clone();
            labels.remove("le");
            removed.push(Series { name: series.key.family.clone(), labels });
        }
    }
    removed.sort_unstable();
    removed.dedup();
    removed
}

/// Nearly always false, and cheap to know.
fn is_any_removed(shards: &[Arc<ShardSnapshot>], options: &MergeOptions, table: &mut Table) -> bool {
    let by_record = |record: &Arc<Record>| {
        record.values.annotations.presence.values().any(|presence| matches!(presence, Presence::Removed(_)))
    };
    shards.iter().enumerate().any(|(place, shard)| {
        shard.records.values().any(by_record) || table.archive(place, &shard.archive, options).has_removals
    })
}

fn listen(plan: &Plan, values: &Values, is_live: bool, said: &mut [Said]) {
    for (index, slot) in plan.slots.iter().enumerate().take(values.slots.len()) {
        if slot.mode != MergeMode::Sum || (slot.ends_with_worker && !is_live) {
            continue;
        }
        let said = &mut said[slot.group];
        match values.annotations.presence(index) {
            Presence::Shown(_) if is_live => said.is_shown_by_living = true,
            presence => said.marks = said.marks.join(presence.into()),
        }
    }
}
