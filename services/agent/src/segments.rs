//! A directory of segments, one source per segment.

use std::{
    collections::HashSet,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use metrifold_model::{DescriptorList, Epoch, Incarnation, Namespace, Seq, Values, Worker};
use metrifold_push::{Memory, Transport};
use metrifold_segment::{
    AgentLock, AgentLockError, DirectoryError, Holder, HolderError, HolderState, Liveness, SegmentDirectory,
    SegmentReader,
};
use metrifold_session::{Instant, PusherState};

use crate::{
    AgentError, AgentStatus, Counts,
    directory::Directory,
    memory::{ProcessMemory, SourceError},
    sources::{AnySources, SourceKey, Sources, Targets},
    transport,
};

/// The segments of one directory. A segment goes when its worker is dead and every target has its last values.
pub(super) struct Segments {
    directory: SegmentDirectory,
    lock: Option<AgentLock>,
    sources: Sources<SegmentMemory>,
    /// Segments that cannot be read, so that each is named once.
    corrupt: HashSet<PathBuf>,
    /// Segments that are done with and could not be removed.
    unremoved: HashSet<PathBuf>,
    /// The directory could not be read at the last scan.
    is_unreadable: bool,
    /// It was read once.
    is_listed: bool,
    finished: u64,
}

impl Segments {
    pub(super) fn new(directory: SegmentDirectory, lock: AgentLock) -> Self {
        Segments {
            directory,
            lock: Some(lock),
            sources: Sources::default(),
            corrupt: HashSet::new(),
            unremoved: HashSet::new(),
            is_unreadable: false,
            is_listed: false,
            finished: 0,
        }
    }

    /// Begins to push a segment that has come.
    fn open(&mut self, path: PathBuf, targets: &Targets, now: Instant) {
        match SegmentMemory::open(path.clone(), &targets.transports) {
            Ok(memory) => {
                self.corrupt.remove(&path);
                self.sources.insert(key(&path), memory, targets, now);
            }
            Err(error) => self.skip(path, &error),
        }
    }

    /// The segments that are there; `None` if that cannot be seen now, because too many files are open for instance. Only a
    /// directory that is gone ends the agent.
    fn list(&mut self) -> Result<Option<HashSet<PathBuf>>, AgentError> {
        match self.directory.segments() {
            Ok(paths) => {
                (self.is_unreadable, self.is_listed) = (false, true);
                Ok(Some(paths.into_iter().collect()))
            }
            Err(DirectoryError::Io { source, .. })
                if !matches!(source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                if !std::mem::replace(&mut self.is_unreadable, true) {
                    tracing::warn!(error = %source, "the segment directory cannot be read now; known segments are pushed on");
                }
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Removes what every target has to the last value. What cannot be removed is tried again at each scan, and never pushed
    /// again.
    fn remove(&mut self, path: PathBuf) {
        match self.directory.remove(&path) {
            Ok(()) => drop(self.unremoved.remove(&path)),
            Err(error) => {
                if self.unremoved.insert(path) {
                    tracing::warn!(%error, "a finished segment cannot be removed");
                }
            }
        }
    }

    /// Leaves a segment alone until it can be read again; the others are not affected.
    fn skip(&mut self, path: PathBuf, error: &SourceError) {
        self.sources.remove(key(&path));
        if self.corrupt.insert(path) {
            tracing::warn!(%error, "a segment is skipped");
        }
    }
}

impl Directory for Segments {
    fn scan(&mut self, targets: &Targets, now: Instant) -> Result<(), AgentError> {
        if let Some(paths) = self.list()? {
            self.corrupt.retain(|path| paths.contains(path));
            self.unremoved.retain(|path| paths.contains(path));
            // A source whose file somebody has removed goes on: it is read through the open file until its worker has ended
            // and every target has the last of it.
            for path in paths {
                if !self.sources.contains(key(&path)) && !self.unremoved.contains(&path) {
                    self.open(path, targets, now);
                }
            }
        }
        for (key, error) in self.sources.examine_all(now) {
            self.skip_unreadable(key, &error);
        }
        self.unremoved.clone().into_iter().for_each(|path| self.remove(path));
        self.release(now)
    }

    fn release(&mut self, _now: Instant) -> Result<(), AgentError> {
        for (_, source) in self.sources.take_done() {
            self.finished += 1;
            self.remove(source.into_memory().path);
        }
        Ok(())
    }

    fn is_known(&self) -> bool {
        self.is_listed
    }

    fn sources(&mut self) -> &mut dyn AnySources {
        &mut self.sources
    }

    fn skip_unreadable(&mut self, key: SourceKey, error: &SourceError) {
        if let Some(path) = self.sources.memory(key).map(|memory| memory.path.clone()) {
            self.skip(path, error);
        }
    }

    fn counts(&self) -> Counts {
        let (live, dead) = self.sources.count();
        Counts { live, dead, corrupt: self.corrupt.len(), finished: self.finished, ..Counts::default() }
    }

    fn report(&self, status: &mut AgentStatus) {
        let Counts { live, dead, corrupt, finished, .. } = self.counts();
        (status.live, status.dead, status.corrupt, status.finished) = (live, dead, corrupt, finished);
    }

    fn name_of(&mut self, key: SourceKey) -> String {
        let path = self.sources.memory(key).map(|memory| memory.path.display().to_string());
        path.unwrap_or_default()
    }

    /// Whoever starts a worker and finds the lock taken relies on this agent, so it looks once more after it has let the
    /// lock go.
    fn leave(&mut self) -> Result<bool, AgentError> {
        // Whoever cannot see what has come stays.
        if self.list()?.is_none() {
            return Ok(false);
        }
        self.lock = None;
        let known = |path: &PathBuf| {
            self.sources.contains(key(path)) || self.corrupt.contains(path) || self.unremoved.contains(path)
        };
        if self.directory.segments()?.iter().all(known) {
            return Ok(true);
        }
        match self.directory.agent_lock() {
            Ok(lock) => {
                self.lock = Some(lock);
                Ok(false)
            }
            // The worker has brought an agent of its own.
            Err(AgentLockError::Held { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

/// A segment is named by its incarnation, in hexadecimal digits.
fn key(path: &Path) -> SourceKey {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    SourceKey(stem.parse::<Incarnation>().map_or(0, |incarnation| incarnation.0))
}

/// A segment with one holder per target.
pub(super) struct SegmentMemory {
    path: PathBuf,
    reader: SegmentReader,
    holders: Vec<(u64, Holder)>,
}

impl SegmentMemory {
    fn open(path: PathBuf, transports: &[Arc<dyn Transport>]) -> Result<SegmentMemory, SourceError> {
        let mut reader = SegmentReader::open(&path)?;
        // A header alone does not make a segment that can be pushed.
        reader.refresh()?;
        let ids: Vec<_> = transports.iter().map(|transport| transport::id(transport.as_ref())).collect();
        let holders = ids.iter().map(|&id| Ok((id, hold(&path, id, &ids)?)));
        let holders = holders.collect::<Result<_, HolderError>>()?;
        Ok(SegmentMemory { path, reader, holders })
    }
}

impl ProcessMemory for SegmentMemory {
    fn is_alive(&mut self) -> Result<bool, SourceError> {
        Ok(self.reader.liveness()? == Liveness::Alive)
    }
}

impl Memory for SegmentMemory {
    type Error = SourceError;

    fn namespace(&self) -> &Namespace {
        &self.reader.header().namespace
    }

    fn worker(&self) -> Worker {
        self.reader.header().worker()
    }

    fn incarnation(&self) -> Incarnation {
        self.reader.header().incarnation
    }

    fn refresh(&mut self) -> Result<(&DescriptorList, Values), SourceError> {
        Ok(self.reader.refresh()?)
    }

    fn load(&self, target: usize) -> Option<PusherState> {
        self.holders[target].1.load().map(pusher_state)
    }

    fn record_sent(
        &mut self,
        target: usize,
        state: &PusherState,
        _is_final: bool,
    ) -> Result<(), SourceError> {
        let (id, holder) = &mut self.holders[target];
        Ok(holder.record_sent(&holder_state(state, *id))?)
    }

    fn record_answer(&mut self, target: usize, state: &PusherState) {
        let epoch = state.epoch.map_or(0, |epoch| epoch.0);
        self.holders[target].1.record_answer(state.acked.0, epoch, state.answered.0);
    }
}

/// Takes the area of target `id`, if need be from a target that a former agent had and this one has not (`ids`).
fn hold(path: &Path, id: u64, ids: &[u64]) -> Result<Holder, HolderError> {
    match Holder::open(path, id) {
        Err(HolderError::NoFreeArea { targets, .. }) => {
            for former in targets.iter().filter(|former| !ids.contains(former)) {
                Holder::release(path, *former)?;
            }
            Holder::open(path, id)
        }
        opened => opened,
    }
}

fn pusher_state(state: HolderState) -> PusherState {
    PusherState {
        incarnation: Incarnation(state.incarnation),
        sent: Seq(state.sent),
        acked: Seq(state.acked),
        epoch: (state.epoch != 0).then_some(Epoch(state.epoch)),
        values: (!state.values.slots.is_empty()).then_some(state.values),
        base: state.base,
        answered: Instant(state.answered),
    }
}

fn holder_state(state: &PusherState, target: u64) -> HolderState {
    HolderState {
        target,
        epoch: state.epoch.map_or(0, |epoch| epoch.0),
        acked: state.acked.0,
        answered: state.answered.0,
        sent: state.sent.0,
        incarnation: state.incarnation.0,
        values: state.values.clone().unwrap_or_default(),
        base: state.base.clone(),
    }
}
