//! Mapped memory as atomics. The only place that turns offsets into references.
#![expect(unsafe_code, reason = "memory mapping and references into it; each block says why it holds")]

use std::fs::File;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::exemplar::ExemplarCell;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// A slot's two words, as they stand in a region.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Cell {
    value: AtomicU64,
    timestamp: AtomicU64,
}

impl Cell {
    pub(crate) fn get(&self) -> f64 {
        f64::from_bits(self.value.load(Ordering::Relaxed))
    }

    pub(crate) fn set(&self, value: f64) {
        self.value.store(value.to_bits(), Ordering::Relaxed);
    }

    /// Value first, then the stamp: whoever sees the new stamp sees a value at least as new.
    pub(crate) fn set_at(&self, value: f64, timestamp: f64) {
        self.set(value);
        self.timestamp.store(timestamp.to_bits(), Ordering::Release);
    }

    /// Stamp first, then the value; see [`Cell::set_at`].
    pub(crate) fn get_stamped(&self) -> (f64, f64) {
        let timestamp = f64::from_bits(self.timestamp.load(Ordering::Acquire));
        (self.get(), timestamp)
    }

    pub(crate) fn stamp(&self, timestamp: f64) {
        self.timestamp.store(timestamp.to_bits(), Ordering::Release);
    }

    /// Adds in one compare-and-swap; leaves the value alone and says `false` if `allowed` refuses the sum.
    #[inline]
    pub(crate) fn add(&self, addend: f64, allowed: impl Fn(f64) -> bool) -> bool {
        let mut bits = self.value.load(Ordering::Relaxed);
        loop {
            let sum = f64::from_bits(bits) + addend;
            if !allowed(sum) {
                return false;
            }
            match self.value.compare_exchange_weak(bits, sum.to_bits(), Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return true,
                Err(now) => bits = now,
            }
        }
    }
}

/// A whole file, mapped shared. Unmapped when dropped.
///
/// Bytes that others may change are only reached as atomics; plain bytes only before they are published.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    length: usize,
}

// SAFETY: the mapping is plain memory, owned by this value and reached through atomics only (`write_unpublished` demands
// exclusiveness of its caller), so neither moving nor sharing it between threads can cause a data race.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub(crate) fn writable(file: &File, length: usize) -> std::io::Result<Mapping> {
        Self::map(file, length, ProtFlags::READ | ProtFlags::WRITE)
    }

    pub(crate) fn read_only(file: &File, length: usize) -> std::io::Result<Mapping> {
        Self::map(file, length, ProtFlags::READ)
    }

    fn map(file: &File, length: usize, protection: ProtFlags) -> std::io::Result<Mapping> {
        // SAFETY: a null hint lets the kernel choose an unused range, so no existing memory is affected.
        let base = unsafe { mmap(std::ptr::null_mut(), length, protection, MapFlags::SHARED, file, 0) }?;
        let base = NonNull::new(base.cast()).ok_or(std::io::ErrorKind::OutOfMemory)?;
        Ok(Mapping { base, length })
    }

    pub(crate) fn u64(&self, offset: usize) -> &AtomicU64 {
        self.word(offset)
    }

    pub(crate) fn u32(&self, offset: usize) -> &AtomicU32 {
        self.word(offset)
    }

    pub(crate) fn cell(&self, offset: usize) -> &Cell {
        self.word(offset)
    }

    pub(crate) fn exemplar_cell(&self, offset: usize) -> &ExemplarCell {
        self.word(offset)
    }

    fn word<T: Atomic>(&self, offset: usize) -> &T {
        self.check::<T>(offset, size_of::<T>());
        // SAFETY: `check` has shown that the word lies inside the mapping and is aligned (the base is page-aligned);
        // atomics are valid for any bits, and the mapping lives as long as the borrow of `self`.
        unsafe { self.base.add(offset).cast().as_ref() }
    }

    /// Copies bytes to where no reader looks yet.
    ///
    /// # Safety
    /// The mapping is writable, nobody else reads or writes this range now, and it becomes visible to readers only by a
    /// later release store.
    pub(crate) unsafe fn write_unpublished(&self, offset: usize, bytes: &[u8]) {
        self.check::<u8>(offset, bytes.len());
        // SAFETY: inside the mapping (checked), exclusive (the caller's promise), and apart from `bytes`, which is
        // ordinary memory.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.base.add(offset).as_ptr(), bytes.len()) }
    }

    fn check<T>(&self, offset: usize, bytes: usize) {
        let fits = offset.checked_add(bytes).is_some_and(|end| end <= self.length);
        assert!(fits && offset.is_multiple_of(align_of::<T>()), "offsets are checked before they come here");
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `map`, and every reference into it borrows `self`; slots, which hold pointers,
        // keep the recorder alive that owns the mapping. An error leaves the range mapped, which is harmless.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.length) };
    }
}

/// Types that may be laid over mapped bytes: any bits are valid, and every access is atomic.
trait Atomic {}
impl Atomic for AtomicU32 {}
impl Atomic for AtomicU64 {}
impl Atomic for Cell {}
impl Atomic for ExemplarCell {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_mappings_of_a_file_see_the_same_words() {
        let file = tempfile::tempfile().expect("temporary file");
        file.set_len(8192).expect("length");
        let writer = Mapping::writable(&file, 8192).expect("map");
        let reader = Mapping::read_only(&file, 8192).expect("map");
        assert!(writer.cell(4096).add(1.5, f64::is_finite));
        writer.cell(4096).stamp(2.0);
        assert_eq!(reader.cell(4096).get_stamped(), (1.5, 2.0));
        assert_eq!(reader.u64(4096).load(Ordering::Relaxed), 1.5_f64.to_bits());
    }

    #[test]
    fn a_refused_sum_leaves_the_value_alone() {
        let cell = Cell::default();
        cell.set(f64::MAX);
        assert!(!cell.add(f64::MAX, f64::is_finite));
        assert_eq!(cell.get(), f64::MAX);
    }
}
