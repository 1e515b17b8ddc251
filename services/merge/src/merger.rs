//! The merge, with what it remembers for speed.

use std::sync::Arc;

use metrifold_session::ShardSnapshot;

use crate::{MergeOptions, View, families::Layouts, gather::Gather, removal, table::Table};

/// What is remembered may be this many times as large as what the last view needed, plus [`REMEMBERED_FREE`].
const REMEMBERED_RATIO_MAX: usize = 2;
/// Remembered series and lists that are never worth forgetting.
const REMEMBERED_FREE: usize = 1_024;

/// Merges a namespace again and again. It remembers which descriptor list leads to which series and how families are
/// laid out, and nothing else: its views are those of [`merge`], to the bit, whatever it merged before.
#[derive(Default)]
pub struct Merger {
    options: MergeOptions,
    table: Table,
    layouts: Layouts,
}

impl std::fmt::Debug for Merger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Merger").field("series", &self.table.series.len()).finish_non_exhaustive()
    }
}

impl Merger {
    /// A merger that remembers nothing yet.
    pub fn new(options: MergeOptions) -> Merger {
        Merger { options, ..Merger::default() }
    }

    /// Merges all shards of a namespace, each a consistent copy, into one view.
    pub fn merge(&mut self, shards: &[Arc<ShardSnapshot>]) -> View {
        let mut gather = Gather::new(&self.options, &mut self.table);
        for (place, shard) in shards.iter().enumerate() {
            gather.shard(place, shard);
        }
        gather.finish();
        let Gather { helps, units, mut conflicts, sources, .. } = gather;
        let removed = removal::hide(shards, &self.options, &mut self.table);
        self.table.sort();
        let families = self.layouts.families(&self.table, &helps, &units, &mut conflicts);
        self.forget(sources.live + sources.dead + sources.folded);
        View { families, conflicts: conflicts.into_sorted(), removed, sources }
    }

    /// Begins anew when most of what is remembered belongs to workers and series that are gone.
    fn forget(&mut self, sources: usize) {
        let needed = self.table.present().count();
        let is_large = |remembered, needed| remembered > REMEMBERED_RATIO_MAX * needed + REMEMBERED_FREE;
        if is_large(self.table.series.len(), needed) || is_large(self.table.plan_count(), sources) {
            self.table = Table::default();
            self.layouts = Layouts::default();
        }
    }
}

/// Merges all shards of a namespace, each a consistent copy, into one view.
pub fn merge(shards: &[Arc<ShardSnapshot>], options: &MergeOptions) -> View {
    Merger::new(options.clone()).merge(shards)
}
