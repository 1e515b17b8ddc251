//! What one value object has of its series.
//!
//! A series is one slot, however many registries have a metric of that name. Mostly one value object records into it, and
//! then the slot tells what that object shows. As soon as a second one lives, each keeps a number of its own, which is what
//! its registry shows, and the slot has what they come to together: the sum of counters and of gauges that are added up over
//! processes too, the smallest or largest of `min` and `max`, and of other gauges what was set last.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use metrifold_model::{Kind, MergeMode};
use metrifold_segment::{Slot, fork_generation};

/// The shares of each slot, by the address of its descriptor, which lives as long as any of them. Held for moments, by a
/// thread that has the interpreter's lock.
static SHARES: Mutex<Option<HashMap<usize, Vec<Weak<Share>>>>> = Mutex::new(None);

/// What one value object has of its series.
#[derive(Debug, Default)]
pub(crate) struct Share {
    /// Whether others have shares too, so that the slot does not tell.
    is_one_of_several: AtomicBool,
    /// Of an only share: the slot's value when it began, or began anew.
    start: PerProcess,
    /// Of one of several: its number.
    own: PerProcess,
    is_removed: AtomicBool,
}

impl Share {
    /// A share of a slot, at 0.
    pub(crate) fn of(slot: &Slot) -> Arc<Share> {
        let share = Arc::new(Share::default());
        let kind = slot.descriptor().kind;
        if kind.is_fact() {
            // A fact is the same, whoever states it.
            return share;
        }
        let mut all = lock(&SHARES);
        let of_slot = all.get_or_insert_default().entry(key(slot)).or_default();
        of_slot.retain(|other| other.strong_count() > 0);
        for other in of_slot.iter().filter_map(Weak::upgrade) {
            other.part_from(slot);
            share.is_one_of_several.store(true, Ordering::Relaxed);
        }
        match (share.is_one_of_several(), grows(kind)) {
            (true, _) => {}
            // Not zero if the series was there before.
            (false, true) => share.start.set(slot.get()),
            (false, false) => slot.set_at(0.0, 0.0),
        }
        of_slot.push(Arc::downgrade(&share));
        share
    }

    /// Whether the slot does not tell what this one has.
    #[inline]
    pub(crate) fn is_one_of_several(&self) -> bool {
        self.is_one_of_several.load(Ordering::Relaxed)
    }

    /// What it has now.
    pub(crate) fn get(&self, slot: &Slot) -> f64 {
        match self.is_one_of_several() {
            true => self.own.get(),
            false => slot.get() - self.start.get(),
        }
    }

    /// Adds, as one of several.
    pub(crate) fn add(&self, slot: &Slot, amount: f64) {
        let kind = slot.descriptor().kind;
        if is_sum(kind) {
            slot.add(amount);
            if amount.is_finite() || !kind.is_subtractable() {
                self.own.set(self.own.get() + amount);
            }
        } else {
            self.set(slot, self.own.get() + amount, unix_seconds());
        }
    }

    /// Sets a gauge, as one of several.
    pub(crate) fn set(&self, slot: &Slot, value: f64, timestamp: f64) {
        match slot.descriptor().kind.merge_mode() {
            MergeMode::Sum => return self.add(slot, value - self.own.get()),
            MergeMode::Min => self.combine(slot, value, f64::min),
            MergeMode::Max => self.combine(slot, value, f64::max),
            _ => slot.set_at(value, timestamp),
        }
        self.own.set(value);
    }

    /// Lets it stand at `value` without counting anything.
    pub(crate) fn start_at(&self, slot: &Slot, value: f64) {
        match self.is_one_of_several() {
            true => self.own.set(value),
            false => self.start.set(slot.get() - value),
        }
    }

    /// Says whether nobody shows the series any more. If others do, a gauge's share is taken out.
    pub(crate) fn remove(&self, slot: &Slot) -> bool {
        self.is_removed.store(true, Ordering::Relaxed);
        let others = self.others(slot);
        if others.iter().all(|other| other.is_removed.load(Ordering::Relaxed)) {
            return true;
        }
        let kind = slot.descriptor().kind;
        if !grows(kind) && kind.merge_mode() == MergeMode::Sum {
            self.set(slot, 0.0, 0.0);
        }
        false
    }

    /// It is shown again.
    pub(crate) fn restore(&self) {
        self.is_removed.store(false, Ordering::Relaxed);
    }

    /// From now on there are several.
    fn part_from(&self, slot: &Slot) {
        if !self.is_one_of_several() {
            self.own.set(self.get(slot));
            self.is_one_of_several.store(true, Ordering::Relaxed);
        }
    }

    fn combine(&self, slot: &Slot, value: f64, combine: fn(f64, f64) -> f64) {
        let others = self.others(slot);
        let shown = others.iter().filter(|other| !other.is_removed.load(Ordering::Relaxed));
        slot.set(shown.map(|other| other.own.get()).fold(value, combine));
    }

    fn others(&self, slot: &Slot) -> Vec<Arc<Share>> {
        let all = lock(&SHARES);
        let of_slot = all.as_ref().and_then(|all| all.get(&key(slot)));
        let living = of_slot.into_iter().flatten().filter_map(Weak::upgrade);
        living.filter(|other| !std::ptr::eq(other.as_ref(), self)).collect()
    }
}

/// Whether what is counted of this kind never falls.
pub(crate) fn grows(kind: Kind) -> bool {
    matches!(kind, Kind::Counter | Kind::Histogram | Kind::Summary)
}

fn is_sum(kind: Kind) -> bool {
    kind.merge_mode() == MergeMode::Sum
}

fn key(slot: &Slot) -> usize {
    Arc::as_ptr(slot.descriptor()).addr()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unix_seconds() -> f64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

/// A number that belongs to one process: in a fork's child all slots are at zero, and so is this.
#[derive(Debug, Default)]
struct PerProcess {
    bits: AtomicU64,
    generation: AtomicU32,
}

impl PerProcess {
    fn set(&self, value: f64) {
        self.bits.store(value.to_bits(), Ordering::Relaxed);
        self.generation.store(fork_generation(), Ordering::Release);
    }

    fn get(&self) -> f64 {
        match self.generation.load(Ordering::Acquire) == fork_generation() {
            true => f64::from_bits(self.bits.load(Ordering::Relaxed)),
            false => 0.0,
        }
    }
}
