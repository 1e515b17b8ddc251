//! How a recorder is doing.

use std::{path::PathBuf, sync::Arc};

use metrifold_model::Incarnation;

use crate::writer::CreateError;

/// How many refused slots a status names.
pub const REFUSED_SLOTS_NAMED_MAX: usize = 16;

/// How a recorder is doing.
#[derive(Clone, Debug)]
pub struct RecorderStatus {
    /// Where values are.
    pub memory: RecorderMemory,
    /// Slots that were made.
    pub slots: usize,
    /// Slots that no reader sees, because a limit was reached; each call for one beyond a limit counts.
    pub refused_slots: u64,
    /// The first [`REFUSED_SLOTS_NAMED_MAX`] of them.
    pub refused_slots_named: Vec<RefusedSlot>,
    /// Values refused because a sum would not have been finite.
    pub refused_values: u64,
    /// Exemplars that no format can carry, or that came when
    /// [`EXEMPLARS_PER_SOURCE_MAX`](metrifold_model::limits::EXEMPLARS_PER_SOURCE_MAX) slots had one.
    pub refused_exemplars: u64,
}

/// Where a recorder's values are.
#[derive(Clone, Debug)]
pub enum RecorderMemory {
    /// In a segment.
    Mapped {
        /// The segment's file.
        path: PathBuf,
        /// The source's id.
        incarnation: Incarnation,
    },
    /// In memory that only this process sees.
    Anonymous {
        /// Why; `None` if [`Recorder::anonymous`](crate::Recorder::anonymous) asked for it.
        reason: Option<Arc<CreateError>>,
    },
}

/// A slot that counts, but that no reader sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedSlot {
    /// The sample's name, cut to the limit of names.
    pub sample: String,
    /// Which limit, in words.
    pub reason: String,
}
