//! The process-wide writer: makes slots, and follows forks.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use metrifold_model::{
    Descriptor, DescriptorList, Incarnation, Labels, Namespace, SeriesKey, Values, limits,
};
use rand::TryRng;

use crate::annotate::annotate;
use crate::directory::{SegmentDirectory, default_path};
use crate::exemplar::ExemplarCell;
use crate::geometry::{EXEMPLARS_MAX, Geometry, SLOTS_MAX};
use crate::header::SegmentHeader;
use crate::ownership::{self, OwnFiles, generation};
use crate::process::ProcessIdentity;
use crate::slot::{Slot, SlotState};
use crate::writer::{AppendError, CreateError, Segment};

/// How many refused slots a status names.
pub const REFUSED_SLOTS_NAMED_MAX: usize = 16;

/// Who records, and where.
#[derive(Clone, Debug, Default)]
pub struct RecorderSettings {
    /// The segment directory; `None`: [`default_path`].
    pub directory: Option<PathBuf>,
    /// The application.
    pub namespace: Namespace,
    /// Host, pod or container.
    pub instance: String,
    /// Constant labels of the worker.
    pub labels: Labels,
}

/// Records the metrics of this process, in a segment if it can and in anonymous memory if not. Clones are the same
/// recorder.
///
/// A fork's child records under a new incarnation in a segment of its own, from zero; what the parent has recorded stays the
/// parent's. The child keeps the inherited mapping and descriptor of the parent's segment untouched: unmapping would gain
/// nothing but address space, and the descriptor's number may long name another file of the application. Processes made
/// by a raw `clone` system call, past the C library, are not noticed.
#[derive(Clone, Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
}

/// How a recorder is doing.
#[derive(Clone, Debug)]
pub struct RecorderStatus {
    /// Where values are.
    pub memory: RecorderMemory,
    /// Slots that were made.
    pub slots: usize,
    /// Slots that no reader sees, because a limit was reached; each call for one beyond a limit counts.
    pub refused_slots: u64,
    /// The first [`REFUSED_SLOTS_NAMED_MAX`] of them.
    pub refused_slots_named: Vec<RefusedSlot>,
    /// Values refused because a sum would not have been finite.
    pub refused_values: u64,
    /// Exemplars that no format can carry, or that came when
    /// [`EXEMPLARS_PER_SOURCE_MAX`](limits::EXEMPLARS_PER_SOURCE_MAX) slots had one.
    pub refused_exemplars: u64,
}

/// Where a recorder's values are.
#[derive(Clone, Debug)]
pub enum RecorderMemory {
    /// In a segment.
    Mapped {
        /// The segment's file.
        path: PathBuf,
        /// The source's id.
        incarnation: Incarnation,
    },
    /// In memory that only this process sees.
    Anonymous {
        /// Why; `None` if [`Recorder::anonymous`] asked for it.
        reason: Option<Arc<CreateError>>,
    },
}

/// A slot that counts, but that no reader sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedSlot {
    /// The sample's name, cut to the limit of names.
    pub sample: String,
    /// Which limit, in words.
    pub reason: String,
}

impl Recorder {
    /// Starts recording. Never fails: without a segment, values go to anonymous memory and [`Recorder::status`] says why.
    /// Also removes segments that were found without a living owner a day ago, if no agent serves the directory.
    pub fn open(settings: RecorderSettings) -> Recorder {
        Self::start(settings, Home::Directory, Geometry::default())
    }

    /// Records in anonymous memory only, for a process that pushes its own [`Recorder::snapshot`].
    pub fn anonymous(settings: RecorderSettings) -> Recorder {
        Self::start(settings, Home::Memory, Geometry::default())
    }

    fn start(settings: RecorderSettings, home: Home, geometry: Geometry) -> Recorder {
        ownership::watch_forks();
        let shared = Arc::new(Shared {
            settings,
            home,
            geometry,
            refused_values: AtomicU64::new(0),
            refused_exemplars: AtomicU64::new(0),
            has_exemplar_room: AtomicBool::new(true),
            state: Mutex::new(State::default()),
        });
        shared.with_state(|_, _| ());
        shared.sweep_directory();
        Recorder { shared }
    }

    /// Finds or makes the slot of a series. Descriptors that differ only in help, unit or `per_worker` are the same series; the first
    /// one stands. Never fails: a slot beyond a limit works but is seen by no reader, and counted in
    /// [`RecorderStatus::refused_slots`].
    pub fn slot(&self, descriptor: Descriptor) -> Slot {
        let state = self.shared.with_state(|state, generation| state.slot(descriptor, generation));
        Slot::new(state, Arc::clone(&self.shared))
    }

    /// Where values are, and what was refused. In a fork's child, the first call moves the recorder to the child's segment.
    pub fn status(&self) -> RecorderStatus {
        self.shared.with_state(|state, _| RecorderStatus {
            refused_values: self.shared.refused_values.load(Ordering::Relaxed),
            refused_exemplars: self.shared.refused_exemplars.load(Ordering::Relaxed),
            ..state.status()
        })
    }

    /// The id of this process's source.
    pub fn incarnation(&self) -> Incarnation {
        self.shared.with_state(|state, _| state.incarnation)
    }

    /// All slots that readers may see and their values now, in the order of the segment's journal.
    pub fn snapshot(&self) -> (DescriptorList, Values) {
        self.shared.with_state(|state, _| state.snapshot())
    }

    #[cfg(test)]
    pub(crate) fn with_region_bytes(settings: RecorderSettings, region_bytes: usize) -> Recorder {
        Self::start(settings, Home::Directory, Geometry { region_bytes })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Home {
    Directory,
    Memory,
}

/// What a recorder and its slots share. Keeps every mapping that a slot may point into.
#[derive(Debug)]
pub(crate) struct Shared {
    settings: RecorderSettings,
    home: Home,
    geometry: Geometry,
    refused_values: AtomicU64,
    refused_exemplars: AtomicU64,
    /// Whether another slot may get a place for exemplars, so that those beyond do not ask for the lock again and again.
    has_exemplar_room: AtomicBool,
    /// Only locked under the process-wide lock of creation, so that it is free whenever the process forks.
    state: Mutex<State>,
}

impl Shared {
    pub(crate) fn refuse_value(&self) {
        self.refused_values.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refuse_exemplar(&self) {
        self.refused_exemplars.fetch_add(1, Ordering::Relaxed);
    }

    /// Hides a slot's series from readers, or shows it again.
    pub(crate) fn mark(&self, slot: &Arc<SlotState>, is_removed: bool) {
        self.with_state(|state, _| {
            slot.change_presence(is_removed);
            if let (Place::Mapped(segment), Some(place)) = (&state.place, slot.place()) {
                segment.mark(place, slot.entry());
            }
        });
    }

    /// Gives a slot a place for exemplars, if there is room.
    #[cold]
    pub(crate) fn give_exemplar_cell(&self, slot: &Arc<SlotState>) {
        if self.has_exemplar_room.load(Ordering::Relaxed) {
            let has_room = self.with_state(|state, _| state.give_exemplar_cell(slot));
            self.has_exemplar_room.store(has_room, Ordering::Relaxed);
        }
    }

    /// Moves the recorder to this process's own segment, if another thread has not, and the slot with it.
    #[cold]
    pub(crate) fn follow_fork(&self, slot: &Arc<SlotState>) {
        self.with_state(|_, generation| {
            // Slots beyond a limit are not in the recorder's list.
            if !slot.is_bound(generation) {
                slot.bind(None, None, slot.second_number(), generation);
            }
        });
    }

    fn with_state<R>(&self, act: impl FnOnce(&mut State, u32) -> R) -> R {
        let mut own_files = ownership::lock();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = generation();
        if state.generation != Some(generation) {
            self.begin(&mut state, generation, &mut own_files);
        }
        act(&mut state, generation)
    }

    /// Begins a process's own source: at first, and after each fork.
    fn begin(&self, state: &mut State, generation: u32, own_files: &mut OwnFiles) {
        let incarnation = random_incarnation();
        if state.generation.is_some() {
            self.refused_values.store(0, Ordering::Relaxed);
            self.refused_exemplars.store(0, Ordering::Relaxed);
            self.has_exemplar_room.store(true, Ordering::Relaxed);
        }
        state.incarnation = *incarnation.as_ref().unwrap_or(&Incarnation(0));
        let place = match (self.home, incarnation) {
            (Home::Memory, _) => Place::Anonymous(None),
            (Home::Directory, Ok(incarnation)) => match self.create_segment(incarnation, own_files) {
                Ok(segment) => Place::Mapped(Box::new(segment)),
                Err(error) => Place::Anonymous(Some(Arc::new(error))),
            },
            (Home::Directory, Err(error)) => Place::Anonymous(Some(Arc::new(error))),
        };
        state.move_to(place, generation);
    }

    fn create_segment(
        &self,
        incarnation: Incarnation,
        own_files: &mut OwnFiles,
    ) -> Result<Segment, CreateError> {
        let path = self.settings.directory.clone().unwrap_or_else(default_path);
        let directory = SegmentDirectory::open(path)?;
        let header = SegmentHeader {
            incarnation,
            process: ProcessIdentity::current(),
            created: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()),
            namespace: self.settings.namespace.clone(),
            instance: self.settings.instance.clone(),
            labels: self.settings.labels.clone(),
        };
        Segment::create(directory.path(), &header, self.geometry, own_files)
    }

    /// What others left behind is no reason to fail or to say anything.
    fn sweep_directory(&self) {
        if self.home == Home::Directory {
            let path = self.settings.directory.clone().unwrap_or_else(default_path);
            if let Ok(directory) = SegmentDirectory::open(path) {
                let _ = directory.sweep_old(crate::directory::ORPHAN_AGE);
            }
        }
    }
}

/// From the operating system at every call: a generator in memory would be copied by a fork and give parent and child
/// the same numbers.
fn random_incarnation() -> Result<Incarnation, CreateError> {
    let random = rand::rngs::SysRng.try_next_u64();
    random.map(Incarnation).map_err(|error| CreateError::Random(error.to_string()))
}

#[derive(Debug)]
enum Place {
    Mapped(Box<Segment>),
    Anonymous(Option<Arc<CreateError>>),
}

#[derive(Debug)]
struct State {
    /// The process generation that `place` belongs to; `None` before the first.
    generation: Option<u32>,
    incarnation: Incarnation,
    place: Place,
    /// Segments of the processes that this one was forked from: slots pointed into them.
    retired: Vec<Segment>,
    slots: Vec<Arc<SlotState>>,
    by_key: HashMap<SeriesKey, usize>,
    /// Those of `slots` that readers see, in order.
    published: Vec<Arc<SlotState>>,
    /// Exemplars of slots that are in no segment; kept for as long as a slot may point there.
    exemplars: Vec<Arc<ExemplarCell>>,
    /// How many of them are this process's own.
    own_exemplars: usize,
    descriptors: DescriptorList,
    refused_slots: u64,
    refused_slots_named: Vec<RefusedSlot>,
}

impl Default for State {
    fn default() -> Self {
        State {
            generation: None,
            incarnation: Incarnation(0),
            place: Place::Anonymous(None),
            retired: Vec::new(),
            slots: Vec::new(),
            by_key: HashMap::new(),
            published: Vec::new(),
            exemplars: Vec::new(),
            own_exemplars: 0,
            descriptors: DescriptorList::default(),
            refused_slots: 0,
            refused_slots_named: Vec::new(),
        }
    }
}

impl State {
    fn move_to(&mut self, place: Place, generation: u32) {
        if let Place::Mapped(parents) = std::mem::replace(&mut self.place, place) {
            self.retired.push(*parents);
        }
        self.generation = Some(generation);
        self.published.clear();
        self.own_exemplars = 0;
        self.descriptors = DescriptorList::default();
        self.refused_slots = 0;
        self.refused_slots_named.clear();
        for slot in self.slots.clone() {
            // What is counted begins anew in a fork's child; what is stated still holds there.
            let inherited = slot.descriptor().kind.is_fact().then(|| slot.cell().get());
            self.publish(Arc::clone(&slot), generation);
            inherited.into_iter().for_each(|value| slot.cell().set(value));
        }
    }

    fn slot(&mut self, descriptor: Descriptor, generation: u32) -> Arc<SlotState> {
        let key = descriptor.key();
        if let Some(index) = self.by_key.get(&key) {
            return Arc::clone(&self.slots[*index]);
        }
        let limit = exceeded_limit(&descriptor, self.slots.len());
        let slot = SlotState::new(Arc::new(descriptor));
        match limit {
            Some(limit) => {
                slot.bind(None, None, slot.second_number(), generation);
                self.refuse(slot.descriptor(), format!("limit {limit}"));
            }
            None => {
                self.by_key.insert(key, self.slots.len());
                self.slots.push(Arc::clone(&slot));
                self.publish(Arc::clone(&slot), generation);
            }
        }
        slot
    }

    fn publish(&mut self, slot: Arc<SlotState>, generation: u32) {
        let second_number = slot.second_number();
        let appended: Result<Option<_>, AppendError> = match &mut self.place {
            Place::Mapped(segment) => {
                segment.append(slot.descriptor(), second_number, slot.entry()).map(Some)
            }
            Place::Anonymous(_) => Ok(None),
        };
        match appended {
            Ok(cell) => {
                slot.bind(Some(self.published.len()), cell, second_number, generation);
                self.descriptors.push(Arc::clone(slot.descriptor()));
                self.published.push(slot);
            }
            Err(error) => {
                slot.bind(None, None, second_number, generation);
                self.refuse(slot.descriptor(), error.to_string());
            }
        }
    }

    /// Says whether there is room for another one.
    fn give_exemplar_cell(&mut self, slot: &Arc<SlotState>) -> bool {
        if slot.exemplar_cell().is_some() {
            return true;
        }
        // One that no reader sees needs no exemplar.
        let Some(place) = slot.place() else { return true };
        let cell = match &mut self.place {
            Place::Mapped(segment) => segment.append_exemplar(place),
            Place::Anonymous(_) if self.own_exemplars < EXEMPLARS_MAX => {
                self.own_exemplars += 1;
                self.exemplars.push(Arc::default());
                self.exemplars.last().map(|cell| {
                    cell.assign(place);
                    cell.as_ref()
                })
            }
            Place::Anonymous(_) => None,
        };
        cell.into_iter().for_each(|cell| slot.bind_exemplar(cell));
        cell.is_some()
    }

    fn refuse(&mut self, descriptor: &Descriptor, reason: String) {
        self.refused_slots += 1;
        if self.refused_slots_named.len() < REFUSED_SLOTS_NAMED_MAX {
            let sample = descriptor.sample.chars().take(limits::NAME_BYTES_MAX).collect();
            self.refused_slots_named.push(RefusedSlot { sample, reason });
        }
    }

    fn status(&self) -> RecorderStatus {
        let memory = match &self.place {
            Place::Mapped(segment) => {
                RecorderMemory::Mapped { path: segment.path().into(), incarnation: self.incarnation }
            }
            Place::Anonymous(reason) => RecorderMemory::Anonymous { reason: reason.clone() },
        };
        RecorderStatus {
            memory,
            slots: self.slots.len(),
            refused_slots: self.refused_slots,
            refused_slots_named: self.refused_slots_named.clone(),
            refused_values: 0,
            refused_exemplars: 0,
        }
    }

    fn snapshot(&self) -> (DescriptorList, Values) {
        let mut values = Values::default();
        for (index, slot) in self.published.iter().enumerate() {
            let (value, timestamp) = slot.cell().get_stamped();
            let kind = slot.descriptor().kind;
            values.slots.push(value);
            if kind.is_timestamped() {
                values.timestamps.push(timestamp);
            }
            annotate(&mut values.annotations, index, kind, timestamp, slot.presence());
            let exemplar = slot.exemplar_cell().and_then(ExemplarCell::read);
            values.annotations.exemplars.extend(exemplar.map(|exemplar| (index, Arc::new(exemplar))));
        }
        (self.descriptors.clone(), values)
    }
}

/// The name of the limit that a new slot would break.
fn exceeded_limit(descriptor: &Descriptor, slots: usize) -> Option<&'static str> {
    let labels = &descriptor.labels;
    let longest_name = labels.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let longest_value = labels.iter().map(|(_, value)| value.len()).max().unwrap_or(0);
    let name = descriptor.family.len().max(descriptor.sample.len()).max(longest_name);
    [
        (slots >= SLOTS_MAX, "slots_per_source_max"),
        (name > limits::NAME_BYTES_MAX, "name_bytes_max"),
        (labels.len() > limits::LABELS_MAX, "labels_max"),
        (longest_value > limits::LABEL_VALUE_BYTES_MAX, "label_value_bytes_max"),
        (descriptor.help.len() > limits::HELP_BYTES_MAX, "help_bytes_max"),
        (descriptor.unit.len() > limits::UNIT_BYTES_MAX, "unit_bytes_max"),
    ]
    .into_iter()
    .find_map(|(exceeded, limit)| exceeded.then_some(limit))
}

#[cfg(test)]
mod tests {
    use metrifold_model::Kind;

    use super::*;
    use crate::geometry::REGION_BYTES_MIN;
    use crate::reader::SegmentReader;

    fn settings(directory: &tempfile::TempDir) -> RecorderSettings {
        RecorderSettings { directory: Some(directory.path().into()), ..RecorderSettings::default() }
    }

    fn counter(index: usize) -> Descriptor {
        let labels = Labels::new([("i", index.to_string())]);
        Descriptor::new(Kind::Counter, "c", "c_total", labels, "h".repeat(1000))
    }

    fn read(recorder: &Recorder) -> (DescriptorList, Values) {
        let RecorderMemory::Mapped { path, .. } = recorder.status().memory else {
            panic!("not mapped: {:?}", recorder.status());
        };
        let mut reader = SegmentReader::open(path).expect("own segment");
        let (descriptors, values) = reader.refresh().expect("own segment");
        (descriptors.clone(), values)
    }

    #[test]
    fn a_full_region_refuses_new_slots_by_name_and_the_others_go_on() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let recorder = Recorder::with_region_bytes(settings(&directory), REGION_BYTES_MIN);
        let slots: Vec<_> = (0..100).map(|index| recorder.slot(counter(index))).collect();
        slots.iter().for_each(|slot| slot.add(1.0));

        let status = recorder.status();
        let seen = 100 - status.refused_slots as usize;
        assert!((50..100).contains(&seen), "{seen} entries of some 1,060 bytes fit into 64 KiB");
        assert_eq!(status.refused_slots_named.len(), REFUSED_SLOTS_NAMED_MAX);
        assert_eq!(status.refused_slots_named[0].sample, "c_total");
        assert_eq!(status.refused_slots_named[0].reason, "the region of counter is full");

        let (descriptors, values) = read(&recorder);
        assert_eq!(values.slots, vec![1.0; seen]);
        assert_eq!(recorder.snapshot(), (descriptors, values));
        assert!(slots.iter().all(|slot| slot.get() == 1.0), "a refused slot still counts for its process");
        recorder.slot(counter(99)).add(1.0);
        assert_eq!(slots[99].get(), 2.0, "and stays one slot");
        let other = recorder.slot(Descriptor::new(Kind::Summary, "s", "s_sum", Labels::default(), ""));
        other.add(0.5);
        assert_eq!(read(&recorder).1.slots.last(), Some(&0.5), "another kind has its own region");
    }

    #[test]
    fn a_name_beyond_a_limit_is_refused_by_the_limits_name() {
        let recorder = Recorder::anonymous(RecorderSettings::default());
        let long = "x".repeat(limits::NAME_BYTES_MAX + 1);
        let refused = [
            (Descriptor::new(Kind::Counter, long, "c_total", Labels::default(), ""), "limit name_bytes_max"),
            (
                Descriptor::new(
                    Kind::Counter,
                    "c",
                    "c_total",
                    Labels::new([("a", "y".repeat(limits::LABEL_VALUE_BYTES_MAX + 1))]),
                    "",
                ),
                "limit label_value_bytes_max",
            ),
        ];
        for (descriptor, limit) in refused {
            let slot = recorder.slot(descriptor);
            slot.add(2.0);
            assert_eq!(slot.get(), 2.0);
            assert_eq!(
                recorder.status().refused_slots_named.last().map(|slot| slot.reason.as_str()),
                Some(limit)
            );
        }
        assert!(recorder.snapshot().0.is_empty());
    }

    #[test]
    fn the_number_of_slots_is_bounded() {
        let recorder = Recorder::anonymous(RecorderSettings::default());
        let counter = |index: usize| {
            Descriptor::new(Kind::Counter, "c", "c_total", Labels::new([("i", index.to_string())]), "")
        };
        (0..=SLOTS_MAX).for_each(|index| recorder.slot(counter(index)).add(1.0));
        let status = recorder.status();
        assert_eq!((status.slots, status.refused_slots), (SLOTS_MAX, 1));
        assert_eq!(status.refused_slots_named[0].reason, "limit slots_per_source_max");
    }
}
