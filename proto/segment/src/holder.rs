//! What the holder of a segment (an agent) knows of its pushes, kept in the segment so that it survives the holder.
//!
//! Each target has an area: a control page with the target's id and the commit word, then two halves. A half holds one sent
//! push completely; the commit word names the valid one, with the push's number: `WRITTEN | seq << 1 | half`. A new state
//! goes to the other half and the word is written last, so a holder killed in between leaves the former state.
//!
//! All access is by positioned reads and writes: a full file system is an error, never a signal, and reading allocates nothing.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use metrifold_model::Values;

use crate::blocks::check_size_limit;
use crate::geometry::{Geometry, HOLDER_AREAS, PAGE_BYTES, SLOTS_MAX};
use crate::reader::{SegmentError, open_segment};

const TARGET_WORD: usize = 0;
const COMMIT_WORD: usize = 8;
/// Set in every commit word, so that a push numbered 0 is not taken for "nothing yet".
const WRITTEN: u64 = 1 << 63;
/// Largest sequence number that fits beside the flag and the half.
const SEQ_MAX: u64 = (1 << 62) - 1;
/// A half begins with: checksum, seq, incarnation, lengths of four columns (`NO_BASE` for a missing base), epoch, acked,
/// answered; columns of `f64` follow. The checksum covers everything but itself and the last three, which change.
const HALF_HEADER_WORDS: usize = 10;
const ANSWER_WORD: usize = 7;
const NO_BASE: u64 = u64::MAX;

/// What a holder knows of one target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HolderState {
    /// Hash of the target; not 0.
    pub target: u64,
    /// The epoch named by the last answer; 0 = none yet.
    pub epoch: u64,
    /// The last acknowledged sequence number.
    pub acked: u64,
    /// When the target last answered, in milliseconds of a clock that goes on over restarts of the holder.
    pub answered: u64,
    /// The last sequence number that was, or was about to be, sent.
    pub sent: u64,
    /// The incarnation used towards this target; differs from the segment's after an answer `expired`.
    pub incarnation: u64,
    /// The values of the last push that carried some, without annotations: those are read from the segment again.
    pub values: Values,
    /// The base that those values go with, if the push names one.
    pub base: Option<Values>,
}

/// Why a holder's state could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum HolderError {
    /// The segment itself cannot be opened.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// The file could not be read or written; a full file system among others.
    #[error("{path}: the holder's state: {source}")]
    Io {
        /// The segment's file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Both areas belong to other targets.
    #[error(
        "{path}: the segment is already held for targets {targets:016x?}; release one that is no longer configured"
    )]
    NoFreeArea {
        /// The segment's file.
        path: PathBuf,
        /// The targets that have the areas.
        targets: [u64; 2],
    },
    /// More slots than `slots_per_source_max`, or a sequence number beyond 2⁶².
    #[error("{path}: the state exceeds {limit}")]
    TooLarge {
        /// The segment's file.
        path: PathBuf,
        /// Which limit.
        limit: &'static str,
    },
}

/// One target's area of a segment, for the one process that pushes the segment there.
#[derive(Debug)]
pub struct Holder {
    path: PathBuf,
    file: Arc<File>,
    geometry: Geometry,
    area: usize,
    target: u64,
    /// The valid commit word; 0 before the first state.
    commit: u64,
}

impl Holder {
    /// Finds the area of a target (a hash, not 0), or takes a free one.
    pub fn open(path: impl Into<PathBuf>, target: u64) -> Result<Holder, HolderError> {
        let path = path.into();
        let (file, _, geometry) = open_segment(&path, true)?;
        let mut holder = Holder { path, file, geometry, area: 0, target, commit: 0 };
        // A write beyond the limit would bring the signal SIGXFSZ.
        check_size_limit(geometry.file_bytes()).map_err(|source| holder.io(source))?;
        let targets = holder.targets()?;
        let found = targets.iter().position(|taken| *taken == target);
        match found.or_else(|| targets.iter().position(|taken| *taken == 0)) {
            None => return Err(HolderError::NoFreeArea { path: holder.path, targets }),
            Some(index) => holder.area = geometry.area(HOLDER_AREAS[index]),
        }
        if found.is_none() {
            holder.write_words(COMMIT_WORD, &[0])?;
            holder.write_words(TARGET_WORD, &[target])?;
        }
        holder.commit = holder.read_words::<1>(COMMIT_WORD)?[0];
        Ok(holder)
    }

    /// Frees the area of a target that is no longer configured; the state is forgotten.
    pub fn release(path: impl AsRef<Path>, target: u64) -> Result<(), HolderError> {
        let holder = Holder::open(path.as_ref(), target)?;
        holder.write_words(COMMIT_WORD, &[0])?;
        holder.write_words(TARGET_WORD, &[0])
    }

    /// The last recorded state; `None` if there is none, or none that is whole.
    pub fn load(&self) -> Option<HolderState> {
        if self.commit & WRITTEN == 0 {
            return None;
        }
        let half = self.half(self.commit & 1);
        let header: [u64; HALF_HEADER_WORDS] = self.read_words(half).ok()?;
        let [checksum, sent, incarnation, slots, timestamps, base_slots, base_timestamps, answer @ ..] =
            header;
        let [epoch, acked, answered] = answer;
        let column_length = |length: u64| usize::try_from(length).ok().filter(|length| *length <= SLOTS_MAX);
        let base_lengths = match base_slots {
            NO_BASE => (0, 0),
            _ => (column_length(base_slots)?, column_length(base_timestamps)?),
        };
        let lengths = [column_length(slots)?, column_length(timestamps)?, base_lengths.0, base_lengths.1];
        let mut columns = vec![0; lengths.iter().sum::<usize>() * 8];
        self.file.read_exact_at(&mut columns, (self.area + half + HALF_HEADER_WORDS * 8) as u64).ok()?;
        if sent != self.commit >> 1 & SEQ_MAX || checksum != checksum_of(&header, &columns) {
            return None;
        }
        let mut numbers =
            columns.chunks_exact(8).filter_map(|bytes| bytes.first_chunk().copied()).map(f64::from_ne_bytes);
        let [slots, timestamps, base_slots_column, base_timestamps] =
            lengths.map(|length| numbers.by_ref().take(length).collect());
        let base = (base_slots != NO_BASE).then_some(Values::new(base_slots_column, base_timestamps));
        let values = Values::new(slots, timestamps);
        Some(HolderState { target: self.target, epoch, acked, answered, sent, incarnation, values, base })
    }

    /// Keeps a state before its push is sent. After an error the former state stands, and the push must not be sent.
    pub fn record_sent(&mut self, state: &HolderState) -> Result<(), HolderError> {
        let base = state.base.as_ref();
        let columns = [
            Some(&state.values.slots),
            Some(&state.values.timestamps),
            base.map(|base| &base.slots),
            base.map(|base| &base.timestamps),
        ];
        if columns.iter().flatten().any(|column| column.len() > SLOTS_MAX) {
            return Err(self.too_large("slots_per_source_max"));
        }
        if state.sent > SEQ_MAX {
            return Err(self.too_large("sequence numbers of 62 bits"));
        }
        let slots = columns.iter().flatten().map(|column| column.len()).sum::<usize>();
        if (HALF_HEADER_WORDS + slots) * 8 > self.half_bytes() {
            return Err(self.too_large("half of the segment's holder area"));
        }
        let [slots, timestamps, base_slots, base_timestamps] =
            columns.map(|column| column.map_or(NO_BASE, |column| column.len() as u64));
        let numbers: Vec<u8> =
            columns.into_iter().flatten().flatten().flat_map(|number| number.to_ne_bytes()).collect();
        let mut header = [
            0,
            state.sent,
            state.incarnation,
            slots,
            timestamps,
            base_slots,
            base_timestamps,
            state.epoch,
            state.acked,
            state.answered,
        ];
        header[0] = checksum_of(&header, &numbers);

        let next = (self.commit & 1) ^ 1;
        let half = self.half(next);
        self.write_words(half, &header)?;
        self.write(half + HALF_HEADER_WORDS * 8, &numbers)?;
        let commit = WRITTEN | state.sent << 1 | next;
        self.write_words(COMMIT_WORD, &[commit])?;
        self.commit = commit;
        Ok(())
    }

    /// Notes an answer to the last recorded push. The epoch comes first: between the two, the push counts as unanswered
    /// and is sent again, which is harmless. Without a recorded push there is nothing to note.
    ///
    /// A failure (the blocks exist, so only of the hardware) is not reported: an unrecorded answer has the same effect as
    /// an answer that was lost on its way.
    pub fn record_answer(&mut self, acked: u64, epoch: u64, answered: u64) {
        if self.commit & WRITTEN != 0 {
            let answer = self.half(self.commit & 1) + ANSWER_WORD * 8;
            let _ = self
                .write_words(answer, &[epoch])
                .and_then(|()| self.write_words(answer + 8, &[acked, answered]));
        }
    }

    fn targets(&self) -> Result<[u64; 2], HolderError> {
        let [first, second] = HOLDER_AREAS.map(|area| {
            let mut word = [0; 8];
            let at = (self.geometry.area(area) + TARGET_WORD) as u64;
            self.file.read_exact_at(&mut word, at).map(|()| u64::from_ne_bytes(word))
        });
        Ok([first.map_err(|source| self.io(source))?, second.map_err(|source| self.io(source))?])
    }

    /// Where a half begins within the area.
    fn half(&self, half: u64) -> usize {
        PAGE_BYTES + if half == 0 { 0 } else { self.half_bytes() }
    }

    fn half_bytes(&self) -> usize {
        (self.geometry.region_bytes - PAGE_BYTES) / 2 / PAGE_BYTES * PAGE_BYTES
    }

    fn read_words<const COUNT: usize>(&self, offset: usize) -> Result<[u64; COUNT], HolderError> {
        let mut bytes = vec![0; COUNT * 8];
        self.file.read_exact_at(&mut bytes, (self.area + offset) as u64).map_err(|source| self.io(source))?;
        let mut words = [0; COUNT];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = bytes.first_chunk().copied().map_or(0, u64::from_ne_bytes);
        }
        Ok(words)
    }

    fn write_words(&self, offset: usize, words: &[u64]) -> Result<(), HolderError> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        self.write(offset, &bytes)
    }

    fn write(&self, offset: usize, bytes: &[u8]) -> Result<(), HolderError> {
        self.file.write_all_at(bytes, (self.area + offset) as u64).map_err(|source| self.io(source))
    }

    fn io(&self, source: std::io::Error) -> HolderError {
        HolderError::Io { path: self.path.clone(), source }
    }

    fn too_large(&self, limit: &'static str) -> HolderError {
        HolderError::TooLarge { path: self.path.clone(), limit }
    }
}

fn checksum_of(header: &[u64; HALF_HEADER_WORDS], columns: &[u8]) -> u64 {
    let mut hasher = crc32fast::Hasher::new();
    header[1..ANSWER_WORD].iter().for_each(|word| hasher.update(&word.to_ne_bytes()));
    hasher.update(columns);
    u64::from(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use metrifold_model::{Incarnation, Namespace};

    use super::*;
    use crate::{Recorder, RecorderMemory, RecorderSettings};

    fn segment() -> (tempfile::TempDir, Recorder, PathBuf) {
        let directory = tempfile::tempdir().expect("temporary directory");
        let recorder = Recorder::open(RecorderSettings {
            directory: Some(directory.path().into()),
            namespace: Namespace::default(),
            ..RecorderSettings::default()
        });
        let RecorderMemory::Mapped { path, incarnation } = recorder.status().memory else {
            panic!("not mapped: {:?}", recorder.status());
        };
        assert_ne!(incarnation, Incarnation(0));
        (directory, recorder, path)
    }

    fn state(target: u64, sent: u64) -> HolderState {
        HolderState {
            target,
            epoch: 5,
            acked: sent.saturating_sub(1),
            answered: 40,
            sent,
            incarnation: 77,
            values: Values::new(vec![sent as f64, f64::NAN, -0.0], vec![1.5]),
            base: (sent.is_multiple_of(2)).then(|| Values::from_slots(vec![0.5])),
        }
    }

    #[test]
    fn a_successor_finds_what_was_sent_and_answered() {
        let (_directory, _recorder, path) = segment();
        let mut holder = Holder::open(&path, 9).expect("open");
        assert_eq!(holder.load(), None);
        holder.record_answer(1, 1, 50);
        assert_eq!(holder.load(), None, "an answer to nothing is nothing");
        for sent in 0..4 {
            holder.record_sent(&state(9, sent)).expect("record");
            assert_eq!(Holder::open(&path, 9).expect("open").load(), Some(state(9, sent)));
        }
        holder.record_answer(3, 6, 70);
        let successor = Holder::open(&path, 9).expect("open");
        assert_eq!(successor.load(), Some(HolderState { acked: 3, epoch: 6, answered: 70, ..state(9, 3) }));
    }

    #[test]
    fn two_targets_keep_their_states_apart_and_a_third_is_refused() {
        let (_directory, _recorder, path) = segment();
        for target in [1, 2] {
            let mut holder = Holder::open(&path, target).expect("open");
            holder.record_sent(&state(target, target * 10)).expect("record");
        }
        for target in [1, 2] {
            assert_eq!(Holder::open(&path, target).expect("open").load(), Some(state(target, target * 10)));
        }
        let error = Holder::open(&path, 3).expect_err("third target");
        assert!(matches!(error, HolderError::NoFreeArea { targets: [1, 2], .. }), "{error}");
        Holder::release(&path, 1).expect("release");
        assert_eq!(Holder::open(&path, 3).expect("open").load(), None);
    }

    /// Goal: a holder killed at any write leaves a whole state. Method: let only a prefix of the bytes of a third state
    /// arrive, then load as a successor would.
    #[test]
    fn a_state_written_in_part_leaves_the_former_one() {
        let (_directory, _recorder, path) = segment();
        let mut holder = Holder::open(&path, 9).expect("open");
        holder.record_sent(&state(9, 1)).expect("record");
        holder.record_sent(&state(9, 2)).expect("record");
        let area = holder.area as u64;
        let half = area + holder.half((holder.commit & 1) ^ 1) as u64;
        for torn in [8, 24, 72, 80, 4096] {
            holder.file.write_all_at(&vec![0xa5; torn], half).expect("torn write");
            assert_eq!(Holder::open(&path, 9).expect("open").load(), Some(state(9, 2)), "{torn} bytes");
        }
        // And if the valid half itself is damaged, there is no state rather than a wrong one.
        let valid = area + holder.half(holder.commit & 1) as u64;
        holder.file.write_all_at(&[0xff], valid + (HALF_HEADER_WORDS * 8) as u64).expect("damage");
        assert_eq!(Holder::open(&path, 9).expect("open").load(), None);
    }

    #[test]
    fn a_state_beyond_a_limit_is_refused_and_the_former_stands() {
        let (_directory, _recorder, path) = segment();
        let mut holder = Holder::open(&path, 9).expect("open");
        holder.record_sent(&state(9, 1)).expect("record");
        let large = HolderState { values: Values::from_slots(vec![0.0; SLOTS_MAX + 1]), ..state(9, 2) };
        assert!(matches!(holder.record_sent(&large), Err(HolderError::TooLarge { .. })));
        assert_eq!(holder.load(), Some(state(9, 1)));
        let largest = HolderState { values: Values::from_slots(vec![1.0; SLOTS_MAX]), ..state(9, 2) };
        holder.record_sent(&largest).expect("at the limit");
        assert_eq!(holder.load(), Some(largest));
    }
}
