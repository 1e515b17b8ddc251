//! What the handles of one slot share.
#![expect(unsafe_code, reason = "a slot points into the mapping of its recorder")]

use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use metrifold_model::{Descriptor, Presence};

use crate::{
    annotate::{has_created, milliseconds},
    exemplar::ExemplarCell,
    journal::{self, JournalEntry},
    mapping::Cell,
};

/// What the handles of one slot share, and its recorder keeps.
#[derive(Debug)]
pub(crate) struct SlotState {
    descriptor: Arc<Descriptor>,
    pub(crate) finite_only: bool,
    pub(crate) timestamped: bool,
    /// The process generation in which `cell` was set.
    pub(crate) generation: AtomicU32,
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
    /// the recorder's `Shared`. Called under the lock of creation.
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

    /// Gives the slot a place for exemplars, which must live as long as the recorder's `Shared`. Called under the lock of
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
    #[inline]
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
pub(crate) fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
