//! One slot, as the application holds it.
#![expect(unsafe_code, reason = "a slot points into the mapping of its recorder")]

use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use metrifold_model::Descriptor;

use crate::mapping::Cell;
use crate::ownership::generation;
use crate::recorder::Shared;

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

    /// What the slot means.
    pub fn descriptor(&self) -> &Arc<Descriptor> {
        &self.state.descriptor
    }

    #[inline]
    fn cell(&self) -> &Cell {
        if self.state.generation.load(Ordering::Acquire) != generation() {
            self.shared.follow_fork(&self.state);
        }
        self.state.cell()
    }
}

/// What the handles of one slot share, and its recorder keeps.
#[derive(Debug)]
pub(crate) struct SlotState {
    descriptor: Arc<Descriptor>,
    finite_only: bool,
    timestamped: bool,
    /// The process generation in which `cell` was set.
    generation: AtomicU32,
    /// Either `anonymous` below or a place in a mapping of the recorder.
    cell: AtomicPtr<Cell>,
    /// The value's place where no segment has one.
    anonymous: Cell,
}

impl SlotState {
    /// An unbound slot; [`SlotState::bind`] must follow before anyone records.
    pub(crate) fn new(descriptor: Arc<Descriptor>) -> Arc<SlotState> {
        Arc::new(SlotState {
            finite_only: descriptor.kind.is_subtractable(),
            timestamped: descriptor.kind.is_timestamped(),
            descriptor,
            generation: AtomicU32::new(0),
            cell: AtomicPtr::new(std::ptr::null_mut()),
            anonymous: Cell::default(),
        })
    }

    pub(crate) fn descriptor(&self) -> &Arc<Descriptor> {
        &self.descriptor
    }

    pub(crate) fn is_bound(&self, generation: u32) -> bool {
        self.generation.load(Ordering::Acquire) == generation && !self.cell.load(Ordering::Relaxed).is_null()
    }

    /// Points the slot at `mapped`, or at its own memory, which is zeroed. The place in the mapping must live as long as
    /// the recorder's [`Shared`]. Called under the lock of creation.
    pub(crate) fn bind(self: &Arc<Self>, mapped: Option<&Cell>, generation: u32) {
        let cell = mapped.unwrap_or_else(|| {
            self.anonymous.set_at(0.0, 0.0);
            &self.anonymous
        });
        self.cell.store(std::ptr::from_ref(cell).cast_mut(), Ordering::Relaxed);
        self.generation.store(generation, Ordering::Release);
    }

    /// Where the value stands. Only for bound slots.
    pub(crate) fn cell(&self) -> &Cell {
        // SAFETY: `Recorder::slot` binds a slot before it hands it out. The pointer leads to `self.anonymous`, which lives
        // as long as `self`, or into a mapping that `Shared` keeps (also a retired one) until the last handle is gone.
        // Cells are atomics, so sharing them is sound.
        unsafe { &*self.cell.load(Ordering::Relaxed) }
    }
}

/// A clock read through the vDSO: no system call on Linux.
fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
