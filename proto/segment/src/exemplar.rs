//! Exemplars in fixed-size cells, written and read without a lock.
//!
//! A cell belongs to one slot for as long as the segment lives. Its sequence number is odd while somebody writes: a
//! second writer then drops its exemplar (the next event brings another), and a reader that sees another number after
//! reading than before tries again, then leaves the cell out. A writer that was killed leaves its cell odd: no exemplar.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use metrifold_model::{Exemplar, Labels};

/// Words of label text: 128 characters of four bytes, and the lengths of some 20 labels.
const TEXT_WORDS: usize = 75;
const TEXT_BYTES: usize = TEXT_WORDS * 8;
/// A reader that meets a writer this often goes without.
const READS_MAX: usize = 8;

/// Where one slot's newest exemplar stands.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct ExemplarCell {
    /// 0 before the first exemplar; odd while one is written.
    sequence: AtomicU64,
    /// Place of the slot; fixed before the cell is published.
    slot: AtomicU64,
    value: AtomicU64,
    timestamp: AtomicU64,
    /// Bytes of `text` in use.
    length: AtomicU64,
    /// Per label: length and bytes of its name, length and bytes of its value. Lengths have two bytes.
    text: [AtomicU64; TEXT_WORDS],
}

/// Bytes of one cell.
pub(crate) const EXEMPLAR_CELL_BYTES: usize = size_of::<ExemplarCell>();

impl Default for ExemplarCell {
    fn default() -> Self {
        ExemplarCell {
            sequence: AtomicU64::new(0),
            slot: AtomicU64::new(0),
            value: AtomicU64::new(0),
            timestamp: AtomicU64::new(0),
            length: AtomicU64::new(0),
            text: [const { AtomicU64::new(0) }; TEXT_WORDS],
        }
    }
}

impl ExemplarCell {
    /// Gives a cell that nobody sees yet to a slot.
    pub(crate) fn assign(&self, slot: usize) {
        self.slot.store(slot as u64, Ordering::Relaxed);
    }

    pub(crate) fn slot(&self) -> u64 {
        self.slot.load(Ordering::Relaxed)
    }

    /// Replaces the exemplar, unless somebody else is doing so. `text` is what [`encode`] gave.
    pub(crate) fn write(&self, value: f64, timestamp: f64, text: &EncodedLabels) {
        let before = self.sequence.load(Ordering::Relaxed);
        let is_ours = before.is_multiple_of(2)
            && self
                .sequence
                .compare_exchange(before, before.wrapping_add(1), Ordering::Acquire, Ordering::Relaxed)
                .is_ok();
        if !is_ours {
            return;
        }
        // Whoever sees any of the following stores also sees the odd number.
        fence(Ordering::Release);
        self.value.store(value.to_bits(), Ordering::Relaxed);
        self.timestamp.store(timestamp.to_bits(), Ordering::Relaxed);
        self.length.store(text.length as u64, Ordering::Relaxed);
        for (word, bytes) in self.text.iter().zip(text.bytes[..text.length].chunks(8)) {
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_ne_bytes(padded), Ordering::Relaxed);
        }
        self.sequence.store(before.wrapping_add(2), Ordering::Release);
    }

    /// The exemplar, if there is a whole and sound one.
    pub(crate) fn read(&self) -> Option<Exemplar> {
        (0..READS_MAX).find_map(|_| self.try_read()).filter(Exemplar::is_sound)
    }

    fn try_read(&self) -> Option<Exemplar> {
        let before = self.sequence.load(Ordering::Acquire);
        if before == 0 || !before.is_multiple_of(2) {
            return None;
        }
        let value = f64::from_bits(self.value.load(Ordering::Relaxed));
        let timestamp = f64::from_bits(self.timestamp.load(Ordering::Relaxed));
        let length = usize::try_from(self.length.load(Ordering::Relaxed)).ok()?.min(TEXT_BYTES);
        let words = self.text[..length.div_ceil(8)].iter();
        let text: Vec<u8> = words.flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes()).collect();
        fence(Ordering::Acquire);
        if self.sequence.load(Ordering::Relaxed) != before {
            return None;
        }
        Some(Exemplar { labels: decode(&text[..length])?, value, timestamp })
    }
}

/// Labels as a cell holds them.
pub(crate) struct EncodedLabels {
    bytes: [u8; TEXT_BYTES],
    length: usize,
}

/// Labels for a cell; `None` if they are too long for it.
pub(crate) fn encode(labels: &Labels) -> Option<EncodedLabels> {
    let mut encoded = EncodedLabels { bytes: [0; TEXT_BYTES], length: 0 };
    for text in labels.iter().flat_map(|(name, value)| [name, value]) {
        let length = u16::try_from(text.len()).ok()?.to_ne_bytes();
        for part in [length.as_slice(), text.as_bytes()] {
            let end = encoded.length + part.len();
            encoded.bytes.get_mut(encoded.length..end)?.copy_from_slice(part);
            encoded.length = end;
        }
    }
    Some(encoded)
}

fn decode(mut text: &[u8]) -> Option<Labels> {
    let mut labels = Labels::default();
    let mut next = || -> Option<Option<String>> {
        let Some((length, rest)) = text.split_first_chunk() else { return text.is_empty().then_some(None) };
        let (bytes, rest) = rest.split_at_checked(usize::from(u16::from_ne_bytes(*length)))?;
        text = rest;
        Some(Some(String::from_utf8(bytes.to_vec()).ok()?))
    };
    while let Some(name) = next()? {
        labels.set(name, next()??);
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn trace(id: &str) -> Labels {
        Labels::new([("trace_id", id)])
    }

    #[test]
    fn the_newest_exemplar_is_read_whole() {
        let cell = ExemplarCell::default();
        assert_eq!(cell.read(), None);
        for (id, value) in [("a-long-one", 1.5), ("b", -0.0)] {
            cell.write(value, 12.25, &encode(&trace(id)).expect("short"));
            assert_eq!(cell.read(), Some(Exemplar { labels: trace(id), value, timestamp: 12.25 }));
        }
    }

    #[test]
    fn a_writer_that_was_killed_leaves_no_exemplar_and_blocks_nobody() {
        let cell = ExemplarCell::default();
        cell.sequence.store(3, Ordering::Relaxed);
        cell.write(1.0, 1.0, &encode(&trace("a")).expect("short"));
        assert_eq!(cell.read(), None);
    }

    #[test]
    fn labels_that_no_cell_holds_are_refused() {
        assert!(encode(&trace(&"\u{1F600}".repeat(120))).is_some(), "128 characters of any kind fit");
        assert!(encode(&trace(&"x".repeat(TEXT_BYTES))).is_none());
    }

    /// Goal: no reader sees parts of two exemplars. Method: writers of texts that fit their values, against a reader.
    #[test]
    fn writers_and_readers_at_once_never_mix_exemplars() {
        let cell = ExemplarCell::default();
        let is_over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for first in [0_u32, 1] {
                let (cell, is_over) = (&cell, &is_over);
                scope.spawn(move || {
                    for number in (first..20_000).step_by(2) {
                        let id = number.to_string().repeat(5);
                        cell.write(f64::from(number), 1.0, &encode(&trace(&id)).expect("short"));
                    }
                    is_over.store(true, Ordering::Relaxed);
                });
            }
            while !is_over.load(Ordering::Relaxed) {
                if let Some(exemplar) = cell.read() {
                    let id = (exemplar.value as u32).to_string().repeat(5);
                    assert_eq!(exemplar.labels, trace(&id));
                }
            }
        });
        assert!(cell.read().is_some());
    }

    proptest! {
        #[test]
        fn no_contents_of_a_cell_panic_its_reader(words in prop::collection::vec(any::<u64>(), 4..80)) {
            let cell = ExemplarCell::default();
            cell.sequence.store(2, Ordering::Relaxed);
            cell.value.store(words[0], Ordering::Relaxed);
            cell.timestamp.store(words[1], Ordering::Relaxed);
            cell.length.store(words[2] >> (words[3] % 64), Ordering::Relaxed);
            cell.text.iter().zip(&words).for_each(|(word, bits)| word.store(*bits, Ordering::Relaxed));
            let _ = cell.read();
        }

        #[test]
        fn labels_are_read_as_they_were_written(labels in prop::collection::btree_map("[a-z]{1,9}", "\\PC{0,20}", 0..4)) {
            let labels = Labels::new(labels);
            let encoded = encode(&labels).expect("short");
            prop_assert_eq!(decode(&encoded.bytes[..encoded.length]), Some(labels));
        }
    }
}
