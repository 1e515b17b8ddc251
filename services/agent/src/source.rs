//! One source and the pushers that bring its values to the targets.

use std::{collections::HashMap, sync::Arc};

use metrifold_model::{Incarnation, Namespace, Seq, Values};
use metrifold_session::{Answer, Instant, Payload, Push, Pusher, PusherSettings, Step};

use crate::{
    memory::{Memory, SourceError},
    target::Target,
};

/// Tells a source from the others of its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct SourceKey(pub(super) u64);

/// Where sources are pushed, and at which pace.
pub(super) struct Lanes {
    pub(super) targets: Vec<Arc<dyn Target>>,
    pub(super) pusher: PusherSettings,
}

/// A source under this agent's care.
pub(super) struct Source<M> {
    memory: M,
    lanes: Vec<Lane>,
    /// The values at the scan that first found the process gone.
    values_at_death: Option<Values>,
    has_ended: bool,
}

/// One target's side of a source.
struct Lane {
    pusher: Pusher,
    /// A call is under way; its outcome comes back through [`Source::answered`] or [`Source::failed`].
    is_sending: bool,
    is_done: bool,
    /// The agent is about to end: one more push, with the values of now, as soon as nothing is under way.
    wants_last: bool,
    /// The last answer was a refusal.
    was_refused: bool,
    /// The target has values of this source that this agent sent.
    has_values: bool,
}

/// A push to send, and to which target.
pub(super) struct Outgoing {
    pub(super) lane: usize,
    pub(super) push: Push,
}

impl<M: Memory> Source<M> {
    /// Goes on where a former agent stopped.
    pub(super) fn new(memory: M, lanes: &Lanes, now: Instant) -> Source<M> {
        let lane = |index: usize| {
            let pusher = match memory.load(index) {
                Some(state) => Pusher::resume(state, memory.worker(), lanes.pusher, now),
                None => Pusher::new(memory.incarnation(), memory.worker(), lanes.pusher, now),
            };
            Lane {
                pusher,
                is_sending: false,
                is_done: memory.has_ended(index),
                wants_last: false,
                was_refused: false,
                has_values: false,
            }
        };
        let lanes = (0..lanes.targets.len()).map(lane).collect();
        Source { memory, lanes, values_at_death: None, has_ended: false }
    }

    pub(super) fn memory(&self) -> &M {
        &self.memory
    }

    pub(super) fn memory_mut(&mut self) -> &mut M {
        &mut self.memory
    }

    pub(super) fn into_memory(self) -> M {
        self.memory
    }

    /// The id under which a target knows the source now.
    pub(super) fn incarnation(&self, lane: usize) -> Incarnation {
        self.lanes[lane].pusher.state().incarnation
    }

    /// Whether the process is dead for sure.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether every target has acknowledged the last value.
    pub(super) fn is_done(&self) -> bool {
        self.lanes.iter().all(|lane| lane.is_done)
    }

    /// Whether a target may still take more of this source. What was refused is not worth waiting for.
    pub(super) fn is_owed(&self) -> bool {
        self.lanes.iter().any(|lane| !lane.is_done && !lane.was_refused)
    }

    /// Whether every target has acknowledged everything that it was sent, and was to be sent at the end.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.lanes.iter().all(|lane| lane.is_done || (lane.pusher.is_acknowledged() && !lane.wants_last))
    }

    /// Whether the first target has, or will never take, values of this source.
    pub(super) fn has_arrived(&self) -> bool {
        self.lanes.first().is_none_or(|lane| lane.is_done || lane.has_values || lane.was_refused)
    }

    /// Looks whether the process still lives. It is dead when it was gone at two scans with the same values: a child
    /// that has just forked may write for a moment after its parent's lock was dropped.
    pub(super) fn examine(&mut self, now: Instant) -> Result<(), SourceError> {
        if self.has_ended {
            return Ok(());
        }
        if self.memory.is_alive()? {
            self.values_at_death = None;
            return Ok(());
        }
        let (_, values) = self.memory.refresh()?;
        if self.values_at_death.as_ref() == Some(&values) {
            self.has_ended = true;
            self.lanes.iter_mut().for_each(|lane| lane.pusher.hurry(now));
        }
        self.values_at_death = Some(values);
        Ok(())
    }

    /// What is to be sent now. What a push says is in the memory before it is sent.
    fn outgoing(
        &mut self,
        now: Instant,
        fresh: &dyn Fn() -> Incarnation,
    ) -> Result<Vec<Outgoing>, SourceError> {
        let mut outgoing = Vec::new();
        for index in 0..self.lanes.len() {
            let lane = &mut self.lanes[index];
            if lane.is_sending || lane.is_done {
                continue;
            }
            let push = match lane.pusher.poll(now, fresh()) {
                Step::Wait(_) => continue,
                Step::Done => {
                    lane.is_done = true;
                    continue;
                }
                Step::Resend(push) => *push,
                Step::Gather => {
                    let (descriptors, values) = self.memory.refresh()?;
                    let push = lane.pusher.offer(now, descriptors, values, self.has_ended);
                    // A first push carries no values yet.
                    lane.wants_last &= push.payload == Payload::Hello;
                    self.memory.record_sent(index, lane.pusher.state(), push.ended)?;
                    push
                }
            };
            lane.is_sending = true;
            outgoing.push(Outgoing { lane: index, push });
        }
        Ok(outgoing)
    }

    /// Takes an answer. The last values do not wait for the interval once the target takes what it is sent; otherwise
    /// the pusher's own pace holds, lest a source that is refused keeps agent and target busy.
    fn answered(&mut self, lane: usize, now: Instant, seq: Seq, answer: Answer) {
        let has_ended = self.has_ended;
        let at = &mut self.lanes[lane];
        at.is_sending = false;
        at.was_refused = matches!(answer, Answer::Refused(_));
        at.pusher.answered(now, seq, answer);
        at.has_values |= at.pusher.is_acknowledged();
        self.memory.record_answer(lane, at.pusher.state());
        if matches!(answer, Answer::Ok { .. }) && (has_ended || at.wants_last) {
            at.pusher.hurry(now);
        }
    }

    /// One more push to every target, with the values of now.
    fn push_last(&mut self, now: Instant) {
        for lane in &mut self.lanes {
            lane.wants_last = true;
            lane.pusher.hurry(now);
        }
    }
}

/// The sources of one place.
pub(super) struct Sources<M>(HashMap<SourceKey, Source<M>>);

impl<M> Default for Sources<M> {
    fn default() -> Self {
        Sources(HashMap::new())
    }
}

impl<M: Memory> Sources<M> {
    pub(super) fn insert(&mut self, key: SourceKey, source: Source<M>) {
        self.0.insert(key, source);
    }

    pub(super) fn get_mut(&mut self, key: SourceKey) -> Option<&mut Source<M>> {
        self.0.get_mut(&key)
    }

    pub(super) fn contains(&self, key: SourceKey) -> bool {
        self.0.contains_key(&key)
    }

    pub(super) fn remove(&mut self, key: SourceKey) -> Option<Source<M>> {
        self.0.remove(&key)
    }

    pub(super) fn retain(&mut self, keep: impl Fn(SourceKey, &Source<M>) -> bool) {
        self.0.retain(|key, source| keep(*key, source));
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (SourceKey, &mut Source<M>)> {
        self.0.iter_mut().map(|(key, source)| (*key, source))
    }

    /// Takes out those that every target has acknowledged to the last value.
    pub(super) fn take_done(&mut self) -> Vec<(SourceKey, Source<M>)> {
        self.0.extract_if(|_, source| source.is_done()).collect()
    }

    /// Those whose process lives, and the others.
    pub(super) fn count(&self) -> (usize, usize) {
        let live = self.0.values().filter(|source| !source.has_ended()).count();
        (live, self.0.len() - live)
    }
}

/// Sources of any kind, as far as pushing them goes.
pub(super) trait Held {
    /// The pushes that are due, and the sources that cannot be read; of one source if one is named.
    fn outgoing(&mut self, only: Option<SourceKey>, now: Instant, fresh: &dyn Fn() -> Incarnation) -> Due;

    fn push_answered(&mut self, key: SourceKey, lane: usize, now: Instant, seq: Seq, answer: Answer);

    /// A call got no answer; the pusher sends it again when it is time.
    fn push_failed(&mut self, key: SourceKey, lane: usize);

    /// A target answers again.
    fn reconnected(&mut self, lane: usize, now: Instant);

    /// One more push of everything, with the values of now.
    fn push_last(&mut self, now: Instant);

    /// Sources that are still owed a push.
    fn owed(&self) -> usize;

    /// Sources of which something is not acknowledged.
    fn unacknowledged(&self) -> usize;

    /// Whether the first target has values of every source.
    fn have_arrived(&self) -> bool;
}

/// What [`Held::outgoing`] found.
#[derive(Default)]
pub(super) struct Due {
    pub(super) pushes: Vec<(SourceKey, Namespace, Outgoing)>,
    pub(super) unreadable: Vec<(SourceKey, SourceError)>,
}

impl<M: Memory> Held for Sources<M> {
    fn outgoing(&mut self, only: Option<SourceKey>, now: Instant, fresh: &dyn Fn() -> Incarnation) -> Due {
        let mut due = Due::default();
        let mut look = |key: SourceKey, source: &mut Source<M>| match source.outgoing(now, fresh) {
            Ok(pushes) => {
                let namespace = source.memory.namespace();
                due.pushes.extend(pushes.into_iter().map(|push| (key, namespace.clone(), push)));
            }
            Err(error) => due.unreadable.push((key, error)),
        };
        match only {
            Some(key) => self.0.get_mut(&key).into_iter().for_each(|source| look(key, source)),
            None => self.0.iter_mut().for_each(|(key, source)| look(*key, source)),
        }
        due
    }

    fn push_answered(&mut self, key: SourceKey, lane: usize, now: Instant, seq: Seq, answer: Answer) {
        if let Some(source) = self.0.get_mut(&key) {
            source.answered(lane, now, seq, answer);
        }
    }

    fn push_failed(&mut self, key: SourceKey, lane: usize) {
        if let Some(source) = self.0.get_mut(&key) {
            source.lanes[lane].is_sending = false;
        }
    }

    fn reconnected(&mut self, lane: usize, now: Instant) {
        self.0.values_mut().for_each(|source| source.lanes[lane].pusher.reconnected(now));
    }

    fn push_last(&mut self, now: Instant) {
        self.0.values_mut().for_each(|source| source.push_last(now));
    }

    fn owed(&self) -> usize {
        self.0.values().filter(|source| source.is_owed()).count()
    }

    fn unacknowledged(&self) -> usize {
        self.0.values().filter(|source| !source.is_acknowledged()).count()
    }

    fn have_arrived(&self) -> bool {
        self.0.values().all(Source::has_arrived)
    }
}
