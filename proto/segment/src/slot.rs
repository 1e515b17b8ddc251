//! One slot, as the application holds it.
#![expect(unsafe_code, reason = "a slot points into the mapping of its recorder")]

use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use metrifold_model::{Descriptor, Exemplar, Kind, Presence};

use crate::annotate::{has_created, milliseconds};
use crate::exemplar::{self, ExemplarCell};
use crate::journal::{self, JournalEntry};
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

    /// Whether the series was removed and not shown again.
    pub fn is_removed(&self) -> bool {
        matches!(self.state.presence(), Some(Presence::Removed(_)))
    }

    /// Hides the series: the merge shows it only if another process does. What a counter, histogram or summary has counted
    /// stays counted; a gauge goes back to 0. Takes the lock of creation.
    pub fn remove(&self) {
        if !self.is_removed() {
            self.cell();
            if !matches!(self.state.descriptor.kind, Kind::Counter | Kind::Histogram | Kind::Summary) {
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
        if has_created(self.state.descriptor.kind) && milliseconds(unix_seconds) > 0 && unix_seconds <= known
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
    /// Null, or a place in a mapping or in the memory of the recorder.
    exemplar: AtomicPtr<ExemplarCell>,
    /// Place in the recorder's published list; `usize::MAX` if it is not there.
    place: AtomicUsize,
    /// The slot's journal entry. Changed under the lock of creation.
    entry: AtomicU64,
    /// The value's place where no segment has one.
    anonymous: Cell,
}

impl SlotState {
    /// An unbound slot; [`SlotState::bind`] must follow before anyone records.
    pub(crate) fn new(descriptor: Arc<Descriptor>) -> Arc<SlotState> {
        Arc::new(SlotState {
            finite_only: descriptor.kind.is_subtractable(),
            timestamped: descriptor.kind.is_timestamped(),
            generation: AtomicU32::new(0),
            cell: AtomicPtr::new(std::ptr::null_mut()),
            exemplar: AtomicPtr::new(std::ptr::null_mut()),
            place: AtomicUsize::new(usize::MAX),
            entry: AtomicU64::new(entry(&descriptor, None)),
            descriptor,
            anonymous: Cell::default(),
        })
    }

    pub(crate) fn descriptor(&self) -> &Arc<Descriptor> {
        &self.descriptor
    }

    pub(crate) fn is_bound(&self, generation: u32) -> bool {
        self.generation.load(Ordering::Acquire) == generation && !self.cell.load(Ordering::Relaxed).is_null()
    }

    /// Points the slot at `mapped`, or at its own memory, which is zeroed but for the second number. The place in the mapping must live as long as
    /// the recorder's [`Shared`]. Called under the lock of creation.
    pub(crate) fn bind(
        self: &Arc<Self>,
        place: Option<usize>,
        mapped: Option<&Cell>,
        second_number: f64,
        generation: u32,
    ) {
        let cell = mapped.unwrap_or_else(|| {
            self.anonymous.set_at(0.0, second_number);
            &self.anonymous
        });
        self.place.store(place.unwrap_or(usize::MAX), Ordering::Relaxed);
        self.exemplar.store(std::ptr::null_mut(), Ordering::Relaxed);
        self.cell.store(std::ptr::from_ref(cell).cast_mut(), Ordering::Relaxed);
        self.generation.store(generation, Ordering::Release);
    }

    /// Place in the recorder's published list.
    pub(crate) fn place(&self) -> Option<usize> {
        Some(self.place.load(Ordering::Relaxed)).filter(|place| *place != usize::MAX)
    }

    pub(crate) fn presence(&self) -> Option<Presence> {
        journal::presence(self.entry())
    }

    /// The slot's journal entry.
    pub(crate) fn entry(&self) -> u64 {
        self.entry.load(Ordering::Relaxed)
    }

    /// The second number of a sum that begins now.
    pub(crate) fn second_number(&self) -> f64 {
        if has_created(self.descriptor.kind) { unix_seconds() } else { 0.0 }
    }

    /// Notes a removal, or a return, later than whatever was noted before.
    pub(crate) fn change_presence(&self, is_removed: bool) {
        let former = match self.presence() {
            Some(Presence::Shown(at) | Presence::Removed(at)) => at,
            None if has_created(self.descriptor.kind) => milliseconds(self.cell().get_stamped().1),
            None => 0,
        };
        let at = milliseconds(unix_seconds()).max(former + 1);
        let presence = if is_removed { Presence::Removed(at) } else { Presence::Shown(at) };
        self.entry.store(entry(&self.descriptor, Some(presence)), Ordering::Relaxed);
    }

    /// Gives the slot a place for exemplars, which must live as long as the recorder's [`Shared`]. Called under the lock of
    /// creation.
    pub(crate) fn bind_exemplar(&self, cell: &ExemplarCell) {
        self.exemplar.store(std::ptr::from_ref(cell).cast_mut(), Ordering::Release);
    }

    /// Where the slot's exemplar stands, if it has a place.
    pub(crate) fn exemplar_cell(&self) -> Option<&ExemplarCell> {
        // SAFETY: as for `cell` below: null, or in memory that `Shared` keeps; cells consist of atomics.
        unsafe { self.exemplar.load(Ordering::Acquire).as_ref() }
    }

    /// Where the value stands. Only for bound slots.
    pub(crate) fn cell(&self) -> &Cell {
        // SAFETY: `Recorder::slot` binds a slot before it hands it out. The pointer leads to `self.anonymous`, which lives
        // as long as `self`, or into a mapping that `Shared` keeps (also a retired one) until the last handle is gone.
        // Cells are atomics, so sharing them is sound.
        unsafe { &*self.cell.load(Ordering::Relaxed) }
    }
}

fn entry(descriptor: &Descriptor, presence: Option<Presence>) -> u64 {
    JournalEntry { kind: descriptor.kind, per_worker: descriptor.per_worker, presence }.encode()
}

/// A clock read through the vDSO: no system call on Linux.
fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
