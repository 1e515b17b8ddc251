//! What a recorder and its slots share: the memory of this process, and the way to a new one after a fork.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use std::time::{SystemTime, UNIX_EPOCH};

use metrifold_model::Incarnation;
use rand::TryRng;

use crate::{
    directory::{SegmentDirectory, default_path},
    fork::{self, OwnFiles, generation},
    geometry::Geometry,
    header::SegmentHeader,
    process::ProcessIdentity,
    settings::RecorderSettings,
    slot_state::SlotState,
    state::{Place, State},
    status::RecorderStatus,
    writer::{CreateError, Segment},
};

/// Where a recorder wants its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
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
    pub(crate) fn start(settings: RecorderSettings, home: Home, geometry: Geometry) -> Arc<Shared> {
        fork::watch_forks();
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
        shared
    }

    pub(crate) fn status(&self) -> RecorderStatus {
        self.with_state(|state, _| RecorderStatus {
            refused_values: self.refused_values.load(Ordering::Relaxed),
            refused_exemplars: self.refused_exemplars.load(Ordering::Relaxed),
            ..state.status()
        })
    }

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

    /// Acts on the state of this process: in a fork's child, of its own.
    pub(crate) fn with_state<R>(&self, act: impl FnOnce(&mut State, u32) -> R) -> R {
        let mut own_files = fork::lock();
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
