//! A file whose source has ended: how far it is, and what is in it.

use std::{
    path::{Path, PathBuf},
    time::Instant as Monotonic,
};

use metrifold_model::{DescriptorList, Incarnation, Values};
use metrifold_session::{Instant, sound};

use super::ledger::Entry;

/// A file that is not pushed now.
pub(super) struct Kept {
    pub(super) name: String,
    pub(super) process: String,
    pub(super) path: PathBuf,
    pub(super) stage: Stage,
    /// The file has lost its name.
    pub(super) has_vanished: bool,
    /// It could not be put aside; the next agent tries again.
    pub(super) has_to_stay: bool,
    pub(super) asked: Option<Monotonic>,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Acknowledged as this source, and not in the archive yet.
    Unfolded(Incarnation),
    /// The store lost it before it was folded.
    Lost,
    /// Every target has it for good.
    Kept,
    /// Its name was taken from it at this instant.
    Aside(Instant),
}

impl Kept {
    pub(super) fn new(name: &str, process: &str, path: &Path, stage: Stage) -> Kept {
        Kept {
            name: name.to_owned(),
            process: process.to_owned(),
            path: path.to_owned(),
            stage,
            has_vanished: false,
            has_to_stay: false,
            asked: None,
        }
    }

    /// The source to ask the store about.
    pub(super) fn unfolded(&self) -> Option<Incarnation> {
        match self.stage {
            Stage::Unfolded(incarnation) => Some(incarnation),
            _ => None,
        }
    }
}

/// What a kept file holds, against what was pushed of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The same.
    Same,
    /// More.
    More,
    /// It is not that file.
    Other,
}

/// A file as it was just read.
pub(super) struct Reading {
    pub(super) found: Found,
    pub(super) descriptors: DescriptorList,
}

/// Compares what is in a file with its entry.
pub(super) fn compare(entry: &Entry, descriptors: &DescriptorList, values: &Values) -> Found {
    if !entry.continues_as(descriptors, values) {
        return Found::Other;
    }
    match entry.targets.values().all(|of| has_all(of.state.values.as_ref(), descriptors, values)) {
        true => Found::Same,
        false => Found::More,
    }
}

/// Whether a target that was sent `pushed` has all that is in a file.
fn has_all(pushed: Option<&Values>, descriptors: &DescriptorList, values: &Values) -> bool {
    let none = Values::default();
    let pushed = pushed.unwrap_or(&none);
    // What no store takes is never pushed.
    let values = sound(descriptors, values.clone(), Some(pushed));
    let is_same = |index| values.slot(index).to_bits() == pushed.slot(index).to_bits();
    let stamps = |values: &Values| values.timestamps.iter().map(|at| at.to_bits()).collect::<Vec<_>>();
    values.slots.len() == pushed.slots.len()
        && stamps(&values) == stamps(pushed)
        && (0..descriptors.len()).all(is_same)
}
