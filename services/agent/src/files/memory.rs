//! One file as a source's memory: the values in the file, what was pushed of them in the ledger.

use std::{path::PathBuf, sync::Arc, time::Instant as Monotonic};

use metrifold_model::{DescriptorList, Incarnation, Kind, Namespace, Values, Worker};
use metrifold_push::Memory;
use metrifold_segment::{DbReader, LeftOut};
use metrifold_session::PusherState;
use parking_lot::Mutex;

use super::ledger::{End, EntryId, Ledger, TargetState};
use crate::memory::{ProcessMemory, SourceError};

/// A file under this agent's care, or what the ledger still knows of one that is gone.
pub(super) struct FileMemory {
    pub(super) id: EntryId,
    pub(super) kind: Kind,
    pub(super) name: String,
    /// Where it is now.
    pub(super) path: PathBuf,
    pub(super) worker: Worker,
    pub(super) namespace: Namespace,
    /// `None`: the file is gone, or more than its end must not be pushed; the values are those in the ledger.
    pub(super) reader: Option<DbReader>,
    /// The file has lost its name.
    pub(super) has_vanished: bool,
    pub(super) is_alive: bool,
    /// When it was last asked in vain whose it is.
    pub(super) asked: Option<Monotonic>,
    pub(super) ledger: Arc<Mutex<Ledger>>,
    /// Ids of the targets.
    pub(super) targets: Vec<u64>,
    /// What was read last.
    pub(super) descriptors: DescriptorList,
    pub(super) values: Values,
    /// It was said that the file has entries which no store takes.
    pub(super) has_told_left_out: bool,
}

impl FileMemory {
    fn sent<T>(&self, target: usize, read: impl Fn(&TargetState) -> T) -> Option<T> {
        let ledger = self.ledger.lock();
        ledger.get(self.id)?.targets.get(&self.targets[target]).map(read)
    }
}

impl ProcessMemory for FileMemory {
    fn is_alive(&mut self) -> Result<bool, SourceError> {
        Ok(self.is_alive)
    }
}

impl Memory for FileMemory {
    type Error = SourceError;

    fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    fn worker(&self) -> Worker {
        self.worker.clone()
    }

    fn incarnation(&self) -> Incarnation {
        Incarnation(self.id.0)
    }

    fn refresh(&mut self) -> Result<(&DescriptorList, Values), SourceError> {
        if let Some(reader) = &mut self.reader {
            let (descriptors, values) = reader.refresh()?;
            self.descriptors = descriptors.clone();
            self.values = values;
            if let Some(LeftOut { sample, reason, .. }) =
                reader.left_out().filter(|_| !self.has_told_left_out)
            {
                self.has_told_left_out = true;
                tracing::warn!(
                    file = self.name,
                    sample,
                    reason,
                    "entries of a file are left out, of which this is the first"
                );
            }
        }
        Ok((&self.descriptors, self.values.clone()))
    }

    fn load(&self, target: usize) -> Option<PusherState> {
        self.sent(target, |sent| sent.state.clone())
    }

    fn has_ended(&self, target: usize) -> bool {
        self.sent(target, |sent| sent.end) == Some(End::Known)
    }

    /// Never fails: the file itself is in the ledger, or it would not be pushed.
    fn record_sent(&mut self, target: usize, state: &PusherState, is_final: bool) -> Result<(), SourceError> {
        let end = if is_final { End::Sent } else { End::Open };
        self.ledger.lock().sent(self.id, self.targets[target], &self.descriptors, state, end);
        Ok(())
    }

    fn record_answer(&mut self, target: usize, state: &PusherState) {
        self.ledger.lock().answered(self.id, self.targets[target], state);
    }
}
