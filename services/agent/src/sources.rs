//! The sources of one directory.

use std::{collections::HashMap, sync::Arc};

use metrifold_model::{Incarnation, Namespace, Seq, Values};
use metrifold_push::{Source, Transport};
use metrifold_session::{Answer, Instant, PusherSettings};

use crate::memory::{ProcessMemory, SourceError};

/// Where sources are pushed, and at which pace.
pub(super) struct Targets {
    pub(super) transports: Vec<Arc<dyn Transport>>,
    pub(super) pusher: PusherSettings,
}

/// Tells a source from the others of its directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct SourceKey(pub(super) u64);

/// The sources of one directory.
pub(super) struct Sources<M>(HashMap<SourceKey, Watched<M>>);

/// A source whose process may die.
struct Watched<M> {
    source: Source<M>,
    /// The values at the scan that first found the process gone.
    values_at_death: Option<Values>,
}

impl<M: ProcessMemory> Watched<M> {
    /// Looks whether the process still lives. It is dead when it was gone at two scans with the same values: a child
    /// that has just forked may write for a moment after its parent's lock was dropped.
    fn examine(&mut self, now: Instant) -> Result<(), SourceError> {
        if self.source.has_ended() {
            return Ok(());
        }
        let memory = self.source.memory_mut();
        if memory.is_alive()? {
            self.values_at_death = None;
            return Ok(());
        }
        let (_, values) = memory.refresh()?;
        if self.values_at_death.as_ref() == Some(&values) {
            self.source.end(now);
        }
        self.values_at_death = Some(values);
        Ok(())
    }
}

impl<M> Default for Sources<M> {
    fn default() -> Self {
        Sources(HashMap::new())
    }
}

impl<M: ProcessMemory> Sources<M> {
    /// Begins to push what a memory holds, going on where a former agent stopped.
    pub(super) fn insert(&mut self, key: SourceKey, memory: M, targets: &Targets, now: Instant) {
        let source = Source::new(memory, targets.transports.len(), targets.pusher, now);
        self.0.insert(key, Watched { source, values_at_death: None });
    }

    pub(super) fn contains(&self, key: SourceKey) -> bool {
        self.0.contains_key(&key)
    }

    pub(super) fn memory(&self, key: SourceKey) -> Option<&M> {
        self.0.get(&key).map(|watched| watched.source.memory())
    }

    pub(super) fn memory_mut(&mut self, key: SourceKey) -> Option<&mut M> {
        self.0.get_mut(&key).map(|watched| watched.source.memory_mut())
    }

    /// The memories of those whose processes have not ended.
    pub(super) fn live_memories(&mut self) -> impl Iterator<Item = &mut M> {
        let live = self.0.values_mut().filter(|watched| !watched.source.has_ended());
        live.map(|watched| watched.source.memory_mut())
    }

    /// Looks whose processes still live; names the sources that cannot be read.
    pub(super) fn examine_all(&mut self, now: Instant) -> Vec<(SourceKey, SourceError)> {
        let examined = self.0.iter_mut().map(|(key, watched)| (*key, watched.examine(now)));
        examined.filter_map(|(key, examined)| Some((key, examined.err()?))).collect()
    }

    pub(super) fn remove(&mut self, key: SourceKey) -> Option<M> {
        self.0.remove(&key).map(|watched| watched.source.into_memory())
    }

    /// Takes out those that every target has acknowledged to the last value.
    pub(super) fn take_done(&mut self) -> Vec<(SourceKey, Source<M>)> {
        let done = self.0.extract_if(|_, watched| watched.source.is_done());
        done.map(|(key, watched)| (key, watched.source)).collect()
    }

    /// Those whose process lives, and the others.
    pub(super) fn count(&self) -> (usize, usize) {
        let live = self.0.values().filter(|watched| !watched.source.has_ended()).count();
        (live, self.0.len() - live)
    }
}

/// Sources with memory of any kind.
pub(super) trait AnySources {
    /// The pushes that are due, and the sources that cannot be read; of one source if one is named.
    fn due(&mut self, only: Option<SourceKey>, now: Instant, fresh: &dyn Fn() -> Incarnation) -> Due;

    fn answered(&mut self, key: SourceKey, target: usize, now: Instant, seq: Seq, answer: Answer);

    /// A call got no answer; the push is sent again when it is time.
    fn unanswered(&mut self, key: SourceKey, target: usize);

    /// A target answers again.
    fn reconnected(&mut self, target: usize, now: Instant);

    /// One more push of everything, with the values of now.
    fn push_last(&mut self, now: Instant);

    /// Sources that are still owed a push.
    fn owed(&self) -> usize;

    /// Sources of which something is not acknowledged.
    fn unacknowledged(&self) -> usize;

    /// Whether the first target has values of every source.
    fn have_arrived(&self) -> bool;
}

/// What [`AnySources::due`] found.
#[derive(Default)]
pub(super) struct Due {
    pub(super) pushes: Vec<(SourceKey, Namespace, metrifold_push::Due)>,
    pub(super) unreadable: Vec<(SourceKey, SourceError)>,
}

impl<M: ProcessMemory> AnySources for Sources<M> {
    fn due(&mut self, only: Option<SourceKey>, now: Instant, fresh: &dyn Fn() -> Incarnation) -> Due {
        let mut due = Due::default();
        let mut look = |key: SourceKey, source: &mut Source<M>| match source.due(now, fresh) {
            // When the next is due is not asked: every scan looks at all of them.
            Ok((pushes, _)) => {
                let namespace = source.memory().namespace();
                due.pushes.extend(pushes.into_iter().map(|push| (key, namespace.clone(), push)));
            }
            Err(error) => due.unreadable.push((key, error)),
        };
        match only {
            Some(key) => self.0.get_mut(&key).into_iter().for_each(|watched| look(key, &mut watched.source)),
            None => self.0.iter_mut().for_each(|(key, watched)| look(*key, &mut watched.source)),
        }
        due
    }

    fn answered(&mut self, key: SourceKey, target: usize, now: Instant, seq: Seq, answer: Answer) {
        if let Some(watched) = self.0.get_mut(&key) {
            watched.source.answered(target, now, seq, answer);
        }
    }

    fn unanswered(&mut self, key: SourceKey, target: usize) {
        if let Some(watched) = self.0.get_mut(&key) {
            watched.source.unanswered(target);
        }
    }

    fn reconnected(&mut self, target: usize, now: Instant) {
        self.0.values_mut().for_each(|watched| watched.source.reconnected(target, now));
    }

    fn push_last(&mut self, now: Instant) {
        self.0.values_mut().for_each(|watched| watched.source.push_last(now));
    }

    fn owed(&self) -> usize {
        self.0.values().filter(|watched| watched.source.is_owed()).count()
    }

    fn unacknowledged(&self) -> usize {
        self.0.values().filter(|watched| !watched.source.is_acknowledged()).count()
    }

    fn have_arrived(&self) -> bool {
        self.0.values().all(|watched| watched.source.has_arrived(0))
    }
}
