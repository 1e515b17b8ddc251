//! The slots of a recorder, and the memory that they are in now.

use std::collections::HashMap;
use std::sync::Arc;

use metrifold_model::{Descriptor, DescriptorList, Incarnation, SeriesKey, Values, limits};

use crate::{
    annotate::annotate,
    exemplar::ExemplarCell,
    geometry::{EXEMPLARS_MAX, SLOTS_MAX},
    slot_state::SlotState,
    status::{REFUSED_SLOTS_NAMED_MAX, RecorderMemory, RecorderStatus, RefusedSlot},
    writer::{AppendError, CreateError, Segment},
};

/// Where the values are.
#[derive(Debug)]
pub(crate) enum Place {
    Mapped(Box<Segment>),
    Anonymous(Option<Arc<CreateError>>),
}

/// The slots of a recorder, and the memory that they are in.
#[derive(Debug)]
pub(crate) struct State {
    /// The process generation that `place` belongs to; `None` before the first.
    pub(crate) generation: Option<u32>,
    pub(crate) incarnation: Incarnation,
    pub(crate) place: Place,
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
    pub(crate) fn move_to(&mut self, place: Place, generation: u32) {
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

    pub(crate) fn slot(&mut self, descriptor: Descriptor, generation: u32) -> Arc<SlotState> {
        let key = descriptor.key();
        if let Some(index) = self.by_key.get(&key) {
            return Arc::clone(&self.slots[*index]);
        }
        let reason = why_refused(&descriptor, self.slots.len());
        let slot = SlotState::new(Arc::new(descriptor));
        match reason {
            Some(reason) => {
                slot.bind(None, None, slot.second_number(), generation);
                self.refuse(slot.descriptor(), reason);
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
    pub(crate) fn give_exemplar_cell(&mut self, slot: &Arc<SlotState>) -> bool {
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

    pub(crate) fn status(&self) -> RecorderStatus {
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

    pub(crate) fn snapshot(&self) -> (DescriptorList, Values) {
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

/// Why a new slot is refused, if it is.
fn why_refused(descriptor: &Descriptor, slots: usize) -> Option<String> {
    if slots >= SLOTS_MAX {
        return Some("limit slots_per_source_max".into());
    }
    descriptor.check().err().map(|error| error.to_string())
}
