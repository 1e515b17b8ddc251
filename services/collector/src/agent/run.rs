//! The loop over a segment directory.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use metrifold_model::{Incarnation, Seq};
use metrifold_segment::{AgentLock, AgentLockError, DirectoryError, SegmentDirectory};
use metrifold_session::{Answer, Instant, PusherSettings};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::MissedTickBehavior,
};
use tokio_util::sync::CancellationToken;

use super::{
    AgentStatus, open_files,
    source::{Outgoing, Source},
};
use crate::{
    clock,
    target::{Target, TargetError},
};

/// Calls to one target at a time: enough to hide its latency, few enough not to flood it after an outage.
const CALLS_PER_TARGET_MAX: usize = 64;
/// How many times `linger` an idle agent waits for targets that have not acknowledged everything: long enough for an
/// outage to pass, short enough that an agent with a wrong address does not keep its directory from a better one.
const LINGERS_UNACKNOWLEDGED_MAX: u32 = 60;

/// How an agent works.
#[derive(Clone, Debug)]
pub struct AgentSettings {
    /// How each source is paced.
    pub pusher: PusherSettings,
    /// Time between two looks at the directory and its locks. Default 100 ms.
    pub scan_interval: Duration,
    /// Whether to end by itself `linger` after the last worker has ended and its values are acknowledged; without an
    /// acknowledgement after sixty times as long, when they wait in their segments for the next agent. Default false.
    pub exit_when_idle: bool,
    /// See `exit_when_idle`. Default 10 s.
    pub linger: Duration,
    /// How long the last pushes may take at shutdown; what is not acknowledged then waits in its segment for the next
    /// agent. Default 5 s.
    pub drain_timeout: Duration,
}

impl Default for AgentSettings {
    fn default() -> Self {
        AgentSettings {
            pusher: PusherSettings::default(),
            scan_interval: Duration::from_millis(100),
            exit_when_idle: false,
            linger: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(5),
        }
    }
}

/// Why an agent stops.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The directory can no longer be read.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// Its lock could not be taken back.
    #[error(transparent)]
    Lock(#[from] AgentLockError),
}

/// Pushes the values of every segment in one directory to one or two targets, and removes a segment when its worker is
/// dead and every target has acknowledged its last values.
pub struct Agent {
    directory: SegmentDirectory,
    lock: Option<AgentLock>,
    targets: Vec<Arc<dyn Target>>,
    calls: Vec<Arc<Semaphore>>,
    /// Targets that did not answer the last call.
    silent: Vec<bool>,
    settings: AgentSettings,
    sources: HashMap<PathBuf, Source>,
    /// Segments that cannot be read, so that each is named once.
    corrupt: HashSet<PathBuf>,
    under_way: JoinSet<Outcome>,
    status: watch::Sender<AgentStatus>,
    /// When a worker last lived.
    last_live: Instant,
    /// When a worker last lived or was owed a push.
    last_busy: Instant,
}

/// What became of one call.
struct Outcome {
    path: PathBuf,
    lane: usize,
    seq: Seq,
    result: Result<Answer, TargetError>,
}

impl Agent {
    /// An agent for a directory whose lock the caller has taken. A segment has room for the state of two targets.
    pub fn new(
        directory: SegmentDirectory,
        lock: AgentLock,
        targets: Vec<Arc<dyn Target>>,
        settings: AgentSettings,
    ) -> Self {
        let calls = targets.iter().map(|_| Arc::new(Semaphore::new(CALLS_PER_TARGET_MAX))).collect();
        Agent {
            directory,
            lock: Some(lock),
            silent: vec![false; targets.len()],
            calls,
            targets,
            settings,
            sources: HashMap::new(),
            corrupt: HashSet::new(),
            under_way: JoinSet::new(),
            status: watch::Sender::default(),
            last_live: clock::now(),
            last_busy: clock::now(),
        }
    }

    /// The agent's counts, updated at every scan.
    pub fn status(&self) -> watch::Receiver<AgentStatus> {
        self.status.subscribe()
    }

    /// Works until `shutdown` (then with a last push of everything), or until it is idle if that is set. First raises
    /// this process's soft limit of open files, because every segment takes a few.
    ///
    /// # Errors
    /// If the directory goes away.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), AgentError> {
        open_files::raise_limit();
        let mut ticks = tokio::time::interval(self.settings.scan_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return self.drain().await,
                _ = ticks.tick() => {
                    self.scan()?;
                    if self.is_idle() && self.has_left()? {
                        return Ok(());
                    }
                }
                Some(outcome) = self.under_way.join_next() => self.take(outcome),
            }
            self.send();
        }
    }

    /// Finds new segments, looks after the known ones, removes the finished ones.
    fn scan(&mut self) -> Result<(), AgentError> {
        let now = clock::now();
        let paths: HashSet<_> = self.directory.segments()?.into_iter().collect();
        self.corrupt.retain(|path| paths.contains(path));
        // Somebody else removed the file: there is nothing left to hold.
        self.sources.retain(|path, _| paths.contains(path));
        for path in paths {
            self.examine(path, now);
        }
        self.release()?;
        let live = self.sources.values().filter(|source| !source.has_ended()).count();
        if live > 0 {
            self.last_live = now;
        }
        if self.sources.values().any(|source| !source.has_ended() || source.is_owed()) {
            self.last_busy = now;
        }
        self.status.send_modify(|status| {
            status.live = live;
            status.dead = self.sources.len() - live;
            status.corrupt = self.corrupt.len();
        });
        Ok(())
    }

    fn examine(&mut self, path: PathBuf, now: Instant) {
        let examined = match self.sources.get_mut(&path) {
            Some(source) => source.examine(now),
            None => Source::open(path.clone(), &self.targets, self.settings.pusher, now)
                .map(|source| drop(self.sources.insert(path.clone(), source))),
        };
        match examined {
            Ok(()) => drop(self.corrupt.remove(&path)),
            Err(error) => self.skip(path, &error),
        }
    }

    /// Leaves a segment alone until it can be read again; the others are not affected.
    fn skip(&mut self, path: PathBuf, error: &dyn std::fmt::Display) {
        self.sources.remove(&path);
        if self.corrupt.insert(path) {
            tracing::warn!(%error, "a segment is skipped");
        }
    }

    fn release(&mut self) -> Result<(), AgentError> {
        let done: Vec<_> = self
            .sources
            .iter()
            .filter(|(_, source)| source.is_done())
            .map(|(path, _)| path.clone())
            .collect();
        for path in done {
            self.directory.remove(&path)?;
            self.sources.remove(&path);
            self.status.send_modify(|status| status.finished += 1);
        }
        Ok(())
    }

    /// Starts the calls that are due.
    fn send(&mut self) {
        let now = clock::now();
        let mut unreadable = Vec::new();
        for (path, source) in &mut self.sources {
            match source.outgoing(now, || Incarnation(rand::random())) {
                Err(error) => unreadable.push((path.clone(), error)),
                Ok(outgoing) => {
                    for Outgoing { lane, push } in outgoing {
                        let (target, calls) = (self.targets[lane].clone(), self.calls[lane].clone());
                        let (path, namespace) = (path.clone(), source.namespace().clone());
                        self.under_way.spawn(async move {
                            let _permit = calls.acquire().await;
                            let result = target.push(&namespace, &push).await;
                            Outcome { path, lane, seq: push.seq, result }
                        });
                    }
                }
            }
        }
        for (path, error) in unreadable {
            self.skip(path, &error);
        }
    }

    fn take(&mut self, outcome: Result<Outcome, tokio::task::JoinError>) {
        let now = clock::now();
        let Outcome { path, lane, seq, result } = match outcome {
            Ok(outcome) => outcome,
            // A target that panics is a bug; its source stays silent, and everything it recorded stays in its segment.
            Err(error) => return tracing::error!(%error, "a push broke"),
        };
        match result {
            Ok(answer) => {
                self.heard_from(lane, now);
                if let Some(source) = self.sources.get_mut(&path) {
                    source.answered(lane, now, seq, answer);
                }
                if let Answer::Refused(refusal) = answer {
                    self.status.send_modify(|status| status.refused += 1);
                    let target = self.targets[lane].name();
                    tracing::warn!(segment = %path.display(), target, %refusal, "a push was refused");
                }
            }
            Err(error) => {
                if let Some(source) = self.sources.get_mut(&path) {
                    source.failed(lane);
                }
                if !std::mem::replace(&mut self.silent[lane], true) {
                    let target = self.targets[lane].name();
                    tracing::warn!(target, %error, "a target does not answer; values wait in their segments");
                }
            }
        }
    }

    fn heard_from(&mut self, lane: usize, now: Instant) {
        if std::mem::replace(&mut self.silent[lane], false) {
            tracing::info!(target = self.targets[lane].name(), "a target answers again");
            self.sources.values_mut().for_each(|source| source.reconnected(lane, now));
        }
    }

    fn is_idle(&self) -> bool {
        let AgentSettings { exit_when_idle, linger, .. } = self.settings;
        let now = clock::now();
        exit_when_idle
            && (now.since(self.last_busy) >= linger
                || now.since(self.last_live) >= linger * LINGERS_UNACKNOWLEDGED_MAX)
    }

    /// Gives the directory up, unless a worker has begun at this very moment: whoever starts a worker and finds the lock
    /// taken relies on this agent, so it looks once more after it has let the lock go.
    fn has_left(&mut self) -> Result<bool, AgentError> {
        self.lock = None;
        let known = |path: &PathBuf| self.sources.contains_key(path) || self.corrupt.contains(path);
        if self.directory.segments()?.iter().all(known) {
            if !self.sources.is_empty() {
                let unacknowledged = self.sources.len();
                tracing::warn!(unacknowledged, "segments wait for the next agent");
            }
            return Ok(true);
        }
        match self.directory.agent_lock() {
            Ok(lock) => {
                self.lock = Some(lock);
                self.last_live = clock::now();
                self.last_busy = self.last_live;
                Ok(false)
            }
            // The worker has brought an agent of its own.
            Err(AgentLockError::Held { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Pushes everything once more. What is not acknowledged in time stays in its segment for the next agent.
    async fn drain(mut self) -> Result<(), AgentError> {
        let drained = tokio::time::timeout(self.settings.drain_timeout, self.push_all()).await;
        if drained.is_err() {
            let unacknowledged = self.sources.values().filter(|source| !source.is_acknowledged()).count();
            tracing::warn!(unacknowledged, "segments wait for the next agent");
        }
        drained.unwrap_or(Ok(()))
    }

    /// A target that hangs keeps only its own pushes from being acknowledged.
    async fn push_all(&mut self) -> Result<(), AgentError> {
        self.scan()?;
        let now = clock::now();
        self.sources.values_mut().for_each(|source| source.push_last(now));
        let mut ticks = tokio::time::interval(self.settings.scan_interval);
        while !self.sources.values().all(Source::is_acknowledged) {
            self.send();
            tokio::select! {
                Some(outcome) = self.under_way.join_next() => self.take(outcome),
                _ = ticks.tick() => {}
            }
        }
        self.release()
    }
}
