//! The local target: a registry's values in a segment, from where a local Metrifold takes them even after a SIGKILL.

use std::{sync::Arc, time::Duration};

use metrifold_model::{DescriptorList, Presence, Values};
use metrifold_segment::{Recorder, RecorderMemory, Slot};

use crate::{gather::Origin, shared::Shared};

/// Copies values into slots, now and again.
pub(crate) struct LocalCopy {
    origin: Origin,
    recorder: Recorder,
    slots: Vec<Slot>,
    interval: Duration,
    shared: Arc<Shared>,
}

impl LocalCopy {
    pub(crate) fn new(origin: Origin, recorder: Recorder, interval: Duration, shared: Arc<Shared>) -> Self {
        LocalCopy { origin, recorder, slots: Vec::new(), interval, shared }
    }

    /// Copies every interval and whenever the application asks, until it ends; then closes the segment, so that live
    /// gauges end at once.
    pub(crate) fn run(mut self) {
        loop {
            let requests = self.shared.requests();
            self.copy();
            let is_safe = self.check();
            if is_safe {
                self.shared.acknowledged(requests.flush);
            }
            if requests.deadline.is_some() {
                let shared = Arc::clone(&self.shared);
                drop(self);
                if is_safe {
                    shared.done();
                }
                return;
            }
            self.shared.wait_for_requests(requests, self.interval);
        }
    }

    fn copy(&mut self) {
        // What the application records itself is in its segment already.
        let Origin::Registry { .. } = &self.origin else { return };
        let (descriptors, values, gathered) = self.origin.gather();
        if let Err(panic) = gathered {
            self.shared.failed(panic);
        }
        self.shared.left_out(self.origin.left_out());
        self.write(&descriptors, &values);
    }

    fn write(&mut self, descriptors: &DescriptorList, values: &Values) {
        for descriptor in &descriptors.entries()[self.slots.len()..] {
            self.slots.push(self.recorder.slot(descriptor.as_ref().clone()));
        }
        let mut timestamps = values.timestamps.iter();
        for (slot, value) in self.slots.iter().zip(&values.slots) {
            let is_timestamped = slot.descriptor().kind.is_timestamped();
            let timestamp = if is_timestamped { timestamps.next().copied() } else { None };
            slot.set_at(*value, timestamp.unwrap_or(0.0));
        }
        for (index, presence) in &values.annotations.presence {
            match (self.slots.get(*index), presence) {
                (Some(slot), Presence::Removed(_)) => slot.remove(),
                (Some(slot), Presence::Shown(_)) => slot.restore(),
                (None, _) => {}
            }
        }
    }

    /// Whether others can see the values; says why if not.
    fn check(&self) -> bool {
        let status = self.recorder.status();
        if let Some(refused) = status.refused_slots_named.first() {
            self.shared.failed(format_args!(
                "{} slots are not visible, the first is {}: {}",
                status.refused_slots, refused.sample, refused.reason
            ));
        }
        match status.memory {
            RecorderMemory::Mapped { .. } => true,
            RecorderMemory::Anonymous { reason } => {
                let reason =
                    reason.map_or_else(|| "the recorder is anonymous".into(), |reason| reason.to_string());
                self.shared.failed(format_args!("no segment, so nothing is visible: {reason}"));
                false
            }
        }
    }
}
