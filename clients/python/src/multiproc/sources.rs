//! From a file to what a store would hold of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use metrifold_model::{DescriptorList, Epoch, Incarnation, MergeMode, Seq, Values, Worker};
use metrifold_session::{Instant, Record, ShardSnapshot};

use super::keys::{BLOCK_SLOTS, BlockIndex, KeyIndex, Keys};
use super::scan::{Cell, Scanned};

/// The values of one file in one block.
struct Column {
    block: BlockIndex,
    /// A bit for each slot that has a value; the others are neutral.
    filled: u64,
    values: Vec<f64>,
    /// Of time-stamped kinds only.
    timestamps: Vec<f64>,
}

/// Stands for a column that the file has not.
const NO_COLUMN: usize = usize::MAX;

/// The sources of one scrape, under way.
pub(crate) struct Sources<'k> {
    pub(crate) keys: &'k mut Keys,
    /// Which of a file's columns is that of a block; [`NO_COLUMN`] between files.
    by_block: Vec<usize>,
    records: Vec<(Pending, Arc<Worker>)>,
    /// NaN and infinities that were to be added to a sum: a store refuses them, but a sum with them is known without it.
    absorbed: HashMap<KeyIndex, f64>,
}

/// A record whose block may still grow.
enum Pending {
    Column(Column),
    Own(DescriptorList, Vec<f64>),
}

impl<'k> Sources<'k> {
    pub(crate) fn new(keys: &'k mut Keys) -> Self {
        keys.begin();
        Sources { keys, by_block: Vec::new(), records: Vec::new(), absorbed: HashMap::new() }
    }

    /// Adds a file.
    pub(crate) fn add(&mut self, file: Scanned) {
        let worker = Arc::new(Worker { process: file.process, ..Worker::default() });
        match file.kind.merge_mode() {
            MergeMode::PerWorker => self.own_values(&file.cells, worker),
            mode => self.columns(mode, &file.cells, worker),
        }
    }

    /// Series of one worker share nothing with those of others.
    fn own_values(&mut self, cells: &[Cell], worker: Arc<Worker>) {
        cells.iter().for_each(|cell| self.keys.find(cell.key));
        let descriptors = cells.iter().map(|cell| self.keys.get(cell.key).descriptor.clone()).collect();
        let values = cells.iter().map(|cell| cell.value).collect();
        self.records.push((Pending::Own(descriptors, values), worker));
    }

    fn columns(&mut self, mode: MergeMode, cells: &[Cell], worker: Arc<Worker>) {
        let mut columns: Vec<Column> = Vec::new();
        for cell in cells {
            self.keys.find(cell.key);
            let place = self.keys.place(cell.key);
            let value = self.addend(mode, *cell);
            let column = self.column_of(place.block, mode, &mut columns);
            if column.has(place.slot) {
                // A key that stands in the file twice: both count.
                let full = std::mem::replace(column, Column::new(place.block, mode));
                self.records.push((Pending::Column(full), worker.clone()));
            }
            column.set(place.slot, value, cell.timestamp);
        }
        columns.iter().for_each(|column| self.by_block[column.block as usize] = NO_COLUMN);
        self.records.extend(columns.into_iter().map(|column| (Pending::Column(column), worker.clone())));
    }

    /// The file's column in a block, made if it has none yet.
    fn column_of<'c>(
        &mut self,
        block: BlockIndex,
        mode: MergeMode,
        columns: &'c mut Vec<Column>,
    ) -> &'c mut Column {
        let block_place = block as usize;
        if self.by_block.len() <= block_place {
            self.by_block.resize(block_place + 1, NO_COLUMN);
        }
        if self.by_block[block_place] == NO_COLUMN {
            self.by_block[block_place] = columns.len();
            columns.push(Column::new(block, mode));
        }
        &mut columns[self.by_block[block_place]]
    }

    /// What the merge is given in place of a value.
    fn addend(&mut self, mode: MergeMode, cell: Cell) -> f64 {
        if mode == MergeMode::Sum && !cell.value.is_finite() {
            *self.absorbed.entry(cell.key).or_default() += cell.value;
            return 0.0;
        }
        cell.value
    }

    /// All files as one shard of a store in which every source lives. Later files have higher incarnations.
    pub(crate) fn into_shard(self) -> (ShardSnapshot, HashMap<KeyIndex, f64>) {
        let blocks = &self.keys.blocks;
        let records: BTreeMap<_, _> = (1..)
            .map(Incarnation)
            .zip(self.records)
            .map(|(incarnation, (pending, worker))| {
                let (descriptors, values) = match pending {
                    Pending::Own(descriptors, values) => (descriptors, Values::from_slots(values)),
                    Pending::Column(column) => column.finish(blocks),
                };
                (incarnation, Arc::new(record(worker, descriptors, values)))
            })
            .collect();
        (ShardSnapshot { records, ..ShardSnapshot::default() }, self.absorbed)
    }
}

impl Column {
    fn new(block: BlockIndex, mode: MergeMode) -> Column {
        // What changes nothing in a merge, whatever else there is: NaN loses to any number, 0 adds nothing, and a value
        // without a time stamp was never set.
        let (neutral, stamps) = match mode {
            MergeMode::Min | MergeMode::Max => (f64::NAN, 0),
            MergeMode::MostRecent => (0.0, BLOCK_SLOTS),
            MergeMode::Sum | MergeMode::PerWorker => (0.0, 0),
        };
        Column { block, filled: 0, values: vec![neutral; BLOCK_SLOTS], timestamps: vec![0.0; stamps] }
    }

    fn has(&self, slot: u8) -> bool {
        self.filled & 1 << slot != 0
    }

    fn set(&mut self, slot: u8, value: f64, timestamp: f64) {
        self.filled |= 1 << slot;
        self.values[usize::from(slot)] = value;
        if let Some(stamp) = self.timestamps.get_mut(usize::from(slot)) {
            *stamp = timestamp;
        }
    }

    /// The column up to its block's end.
    fn finish(mut self, blocks: &[DescriptorList]) -> (DescriptorList, Values) {
        let descriptors = blocks[self.block as usize].clone();
        self.values.truncate(descriptors.len());
        self.timestamps.truncate(descriptors.len());
        (descriptors, Values::new(self.values, self.timestamps))
    }
}

fn record(worker: Arc<Worker>, descriptors: DescriptorList, values: Values) -> Record {
    Record {
        seq: Seq::default(),
        epoch: Epoch(1),
        seen: Instant::default(),
        worker,
        descriptors,
        values,
        base: Values::default(),
        ended: false,
    }
}
