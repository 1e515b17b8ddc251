//! What a push must be, through whichever door it comes: the one validation of all stores.
//!
//! In two steps. [`Push::check`] looks at what the push shows by itself. What its values mean may stand in descriptors that
//! came with an earlier push; [`SlotRules`] is what has to be kept in mind of those.

use metrifold_model::{
    Annotations, DescriptorError, DescriptorHash, DescriptorList, Presence, SlotRule, Values, Worker,
    check_labels, limits,
};

use crate::{DescriptorPart, Payload, Push, Refusal};

impl Push {
    /// Checks everything that does not depend on what the store knows.
    ///
    /// # Errors
    /// Why it can never be accepted.
    pub fn check(&self) -> Result<(), Refusal> {
        if !(1..=limits::SEQ_MAX).contains(&self.seq.0) {
            return Err(Refusal::Seq);
        }
        let count = self.descriptors.count();
        if count > limits::SLOTS_PER_SOURCE_MAX {
            return Err(Refusal::TooManySlots);
        }
        self.all_values().try_for_each(|values| check_places(values, count))?;
        check_worker(&self.worker)?;
        let entries = &self.descriptors.entries;
        entries.iter().try_for_each(|descriptor| descriptor.check().map_err(refusal_of))?;
        let described = (self.descriptors.from..).zip(entries.iter().map(|descriptor| descriptor.rule()));
        let described: Vec<_> = described.collect();
        self.all_values().try_for_each(|values| {
            check_slots(described.iter().copied(), values)?;
            check_times(values)
        })
    }

    /// Checks values and base, given what each slot of the source's whole list may hold.
    ///
    /// # Errors
    /// Why they can never be accepted.
    pub(crate) fn check_values(&self, rules: impl Iterator<Item = SlotRule> + Clone) -> Result<(), Refusal> {
        self.all_values().try_for_each(|values| {
            let stamped = rules.clone().take(values.slots.len()).filter(|rule| *rule == SlotRule::Stamped);
            if values.timestamps.len() > stamped.count() {
                return Err(Refusal::ValuesWithoutDescriptors);
            }
            check_slots(rules.clone().enumerate(), values)
        })
    }

    /// The values and the base, where there are any.
    fn all_values(&self) -> impl Iterator<Item = &Values> {
        let values = match &self.payload {
            Payload::Values(values) => Some(values),
            Payload::Hello | Payload::Unchanged => None,
        };
        values.into_iter().chain(&self.base)
    }
}

/// Nothing may stand where there is no slot.
fn check_places(values: &Values, slots: usize) -> Result<(), Refusal> {
    let Annotations { created, presence, exemplars } = &values.annotations;
    if values.slots.len().max(values.timestamps.len()).max(created.len()) > slots {
        return Err(Refusal::ValuesWithoutDescriptors);
    }
    let last = presence.last_key_value().map(|(slot, _)| *slot);
    let last = last.max(exemplars.last_key_value().map(|(slot, _)| *slot));
    match last.is_some_and(|last| last >= slots) || exemplars.len() > limits::EXEMPLARS_PER_SOURCE_MAX {
        true => Err(Refusal::Annotations),
        false => Ok(()),
    }
}

fn check_worker(worker: &Worker) -> Result<(), Refusal> {
    let identity = [&worker.instance, &worker.process];
    if identity.iter().any(|text| text.len() > limits::IDENTITY_BYTES_MAX) {
        return Err(Refusal::TooLong);
    }
    check_labels(&worker.labels).map_err(refusal_of)
}

fn refusal_of(error: DescriptorError) -> Refusal {
    if error.is_limit() { Refusal::TooLong } else { Refusal::Name }
}

fn check_slots(mut rules: impl Iterator<Item = (usize, SlotRule)>, values: &Values) -> Result<(), Refusal> {
    let broken = rules.find(|(slot, rule)| !rule.allows(values.slot(*slot)));
    match broken {
        None => Ok(()),
        Some((slot, _)) if values.slot(slot).is_finite() => Err(Refusal::Negative),
        Some(_) => Err(Refusal::NotFinite),
    }
}

fn check_times(values: &Values) -> Result<(), Refusal> {
    let are_seconds = values.timestamps.iter().all(|seconds| is_time(*seconds));
    let Annotations { created, presence, .. } = &values.annotations;
    let marks = presence.values().map(|presence| match presence {
        Presence::Shown(at) | Presence::Removed(at) => *at,
    });
    let are_millis = created.iter().copied().chain(marks).all(|millis| millis / 1000 <= limits::TIME_MAX);
    if are_seconds && are_millis { Ok(()) } else { Err(Refusal::Time) }
}

/// `values` without what no store would take: a slot keeps what it had in `former`, the values that were sent last, and a time
/// that is none becomes 0.
pub fn sound(descriptors: &DescriptorList, mut values: Values, former: Option<&Values>) -> Values {
    for (slot, (value, rule)) in values.slots.iter_mut().zip(descriptors.rules()).enumerate() {
        if !rule.allows(*value) {
            *value = former.map_or(0.0, |former| former.slot(slot));
        }
    }
    for seconds in &mut values.timestamps {
        if !is_time(*seconds) {
            *seconds = 0.0;
        }
    }
    values
}

fn is_time(seconds: f64) -> bool {
    (0.0..=limits::TIME_MAX as f64).contains(&seconds)
}

/// What the slots of a source may hold: all that a door keeps in mind of descriptors, run by run of equal rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotRules {
    runs: Vec<(SlotRule, u32)>,
    slots: usize,
    text_bytes: usize,
    hash: DescriptorHash,
}

impl SlotRules {
    /// The rules of the first `count` slots of a list; `None` if it has fewer.
    pub fn of_first(list: &DescriptorList, count: usize) -> Option<SlotRules> {
        let mut rules = SlotRules { hash: list.hash_of_first(count)?, ..SlotRules::default() };
        for descriptor in list.iter().take(count) {
            rules.add(descriptor.rule());
            rules.text_bytes += descriptor.text_bytes();
        }
        Some(rules)
    }

    /// Whether these are the rules of what comes before a part of a list.
    pub fn fits(&self, part: &DescriptorPart) -> bool {
        let hash = if part.entries.is_empty() { part.hash } else { part.from_hash };
        (self.slots, self.hash) == (part.from, hash)
    }

    /// The rules of a push's whole list, given those of what came before; `None` if the two do not fit.
    pub fn after(&self, part: &DescriptorPart) -> Option<SlotRules> {
        let mut rules = match part.from {
            0 => SlotRules::default(),
            _ if self.fits(part) => self.clone(),
            _ => return None,
        };
        for descriptor in &part.entries {
            rules.add(descriptor.rule());
            rules.text_bytes += descriptor.text_bytes();
            rules.hash = descriptor.hash_onto(rules.hash);
        }
        (rules.hash == part.hash).then_some(rules)
    }

    /// Checks the values and the base of a push whose whole list has these rules.
    ///
    /// # Errors
    /// Why it can never be accepted.
    pub fn check(&self, push: &Push) -> Result<(), Refusal> {
        if self.text_bytes > limits::PUSH_BYTES_MAX {
            return Err(Refusal::TooLarge);
        }
        let runs = self.runs.iter();
        push.check_values(runs.flat_map(|(rule, length)| std::iter::repeat_n(*rule, *length as usize)))
    }

    fn add(&mut self, rule: SlotRule) {
        self.slots += 1;
        match self.runs.last_mut() {
            Some((last, length)) if *last == rule => *length += 1,
            _ => self.runs.push((rule, 1)),
        }
    }
}
