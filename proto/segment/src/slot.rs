//! One slot, as the application holds it.

use std::sync::{Arc, atomic::Ordering};

use metrifold_model::{Descriptor, Exemplar, Kind, Presence};

use crate::{
    annotate::{has_created, milliseconds},
    exemplar::{self, ExemplarCell},
    fork::generation,
    mapping::Cell,
    shared::Shared,
    slot_state::{SlotState, unix_seconds},
};

/// One `f64` that the application counts or sets. Cheap to clone; clones are the same slot.
///
/// No call makes a system call, takes a lock or fails, except for the first one after a fork, which moves all slots of
/// the recorder to the child's own segment, at zero.
#[derive(Clone, Debug)]
pub struct Slot {
    state: Arc<SlotState>,
    /// Keeps the mapping alive that `state` points into.
    shared: Arc<Shared>,
}

impl Slot {
    pub(crate) fn new(state: Arc<SlotState>, shared: Arc<Shared>) -> Self {
        Slot { state, shared }
    }

    /// Adds to the value. On a kind that is [subtractable](metrifold_model::Kind::is_subtractable), a sum that is not finite is
    /// refused and counted in [`RecorderStatus::refused_values`](crate::RecorderStatus::refused_values). A time-stamped gauge
    /// takes the present time.
    #[inline]
    pub fn add(&self, addend: f64) {
        let cell = self.cell();
        let added = match self.state.finite_only {
            true => cell.add(addend, f64::is_finite),
            false => cell.add(addend, |_| true),
        };
        if !added {
            self.shared.refuse_value();
        } else if self.state.timestamped {
            cell.stamp(unix_seconds());
        }
    }

    /// Sets the value; a time-stamped gauge takes the present time. What is not finite is refused as by [`Slot::add`].
    #[inline]
    pub fn set(&self, value: f64) {
        let timestamp = if self.state.timestamped { unix_seconds() } else { 0.0 };
        self.set_at(value, timestamp);
    }

    /// Sets the value with a time stamp of its own (Unix seconds), which only time-stamped gauges keep.
    #[inline]
    pub fn set_at(&self, value: f64, unix_seconds: f64) {
        if self.state.finite_only && !value.is_finite() {
            self.shared.refuse_value();
        } else if self.state.timestamped {
            self.cell().set_at(value, unix_seconds);
        } else {
            self.cell().set(value);
        }
    }

    /// The value that this process has recorded.
    #[inline]
    pub fn get(&self) -> f64 {
        self.cell().get()
    }

    /// Whether the series was removed and not shown again.
    pub fn is_removed(&self) -> bool {
        matches!(self.state.presence(), Some(Presence::Removed(_)))
    }

    /// Hides the series: the merge shows it only if another process does. What a counter, histogram or summary has counted
    /// stays counted; a gauge goes back to 0. Takes the lock of creation.
    pub fn remove(&self) {
        if !self.is_removed() {
            self.cell();
            if !matches!(self.state.descriptor().kind, Kind::Counter | Kind::Histogram | Kind::Summary) {
                self.state.cell().set(0.0);
            }
            self.shared.mark(&self.state, true);
        }
    }

    /// Shows a series again that was removed. Does nothing to any other.
    pub fn restore(&self) {
        if self.is_removed() {
            self.cell();
            self.shared.mark(&self.state, false);
        }
    }

    /// When the series began to count, Unix seconds, if that was before the slot was made. Only sums keep it.
    pub fn set_created(&self, unix_seconds: f64) {
        let cell = self.cell();
        let (_, known) = cell.get_stamped();
        if has_created(self.state.descriptor().kind)
            && milliseconds(unix_seconds) > 0
            && unix_seconds <= known
        {
            cell.stamp(unix_seconds);
        }
    }

    /// Keeps an event that stands for those that were counted; the newest one is shown. Says whether there is room for it
    /// and it can be shown at all; refused ones are counted in
    /// [`RecorderStatus::refused_exemplars`](crate::RecorderStatus::refused_exemplars). Of several threads' at once one is kept.
    ///
    /// The first exemplar of a slot takes the lock of creation; later ones only write memory.
    pub fn set_exemplar(&self, exemplar: &Exemplar) -> bool {
        self.cell();
        let text = exemplar::encode(&exemplar.labels).filter(|_| exemplar.is_sound());
        let cell = text.and_then(|text| Some((self.exemplar_cell()?, text)));
        match cell {
            Some((cell, ref text)) => cell.write(exemplar.value, exemplar.timestamp, text),
            None => self.shared.refuse_exemplar(),
        }
        cell.is_some()
    }

    fn exemplar_cell(&self) -> Option<&ExemplarCell> {
        self.state.exemplar_cell().or_else(|| {
            self.shared.give_exemplar_cell(&self.state);
            self.state.exemplar_cell()
        })
    }

    /// What the slot means.
    pub fn descriptor(&self) -> &Arc<Descriptor> {
        self.state.descriptor()
    }

    #[inline]
    fn cell(&self) -> &Cell {
        if self.state.generation.load(Ordering::Acquire) != generation() {
            self.shared.follow_fork(&self.state);
        }
        self.state.cell()
    }
}
