//! The loop over the directories where sources are found.

use std::{sync::Arc, time::Duration};

use metrifold_model::{Incarnation, Seq};
use metrifold_push::{Transport, Unanswered};
use metrifold_segment::{AgentLock, AgentLockError, DirectoryError, MultiprocDirectory, SegmentDirectory};
use metrifold_session::{Answer, Instant, PusherSettings};
use metrifold_store::StoreError;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::MissedTickBehavior,
};
use tokio_util::sync::CancellationToken;

use metrifold_clock as clock;

use crate::{
    AgentStatus,
    directory::Directory,
    file_limit,
    files::{Files, FilesSettings, LedgerError},
    fold::FoldAnswer,
    segments::Segments,
    sources::{Due, SourceKey, Targets},
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

/// Pushes the values of every segment in one directory, and of every file in a multiprocess directory, to one or two
/// targets. A segment is removed when its worker is dead and every target has acknowledged its last values.
pub struct Agent {
    directories: Vec<Box<dyn Directory>>,
    targets: Targets,
    calls: Vec<Arc<Semaphore>>,
    /// Targets that did not answer the last call.
    silent: Vec<bool>,
    settings: AgentSettings,
    under_way: JoinSet<Outcome>,
    status: watch::Sender<AgentStatus>,
    /// When a worker last lived.
    last_live: Instant,
    /// When a worker last lived or was owed a push.
    last_busy: Instant,
}

/// What came of something that was asked of a target.
enum Outcome {
    Push { directory: usize, key: SourceKey, target: usize, seq: Seq, result: Result<Answer, Unanswered> },
    Folds { directory: usize, answer: Result<FoldAnswer, StoreError> },
}

impl Agent {
    /// An agent for directories that are still to be named. A segment has room for the state of two targets.
    pub fn new(transports: Vec<Arc<dyn Transport>>, settings: AgentSettings) -> Self {
        let calls = transports.iter().map(|_| Arc::new(Semaphore::new(CALLS_PER_TARGET_MAX))).collect();
        Agent {
            directories: Vec::new(),
            silent: vec![false; transports.len()],
            calls,
            targets: Targets { transports, pusher: settings.pusher },
            settings,
            under_way: JoinSet::new(),
            status: watch::Sender::default(),
            last_live: clock::now(),
            last_busy: clock::now(),
        }
    }

    /// Holds the segments of a directory whose lock the caller has taken.
    #[must_use]
    pub fn with_segments(mut self, directory: SegmentDirectory, lock: AgentLock) -> Self {
        self.directories.push(Box::new(Segments::new(directory, lock)));
        self
    }

    /// Holds the files of a multiprocess directory whose lock the caller has taken.
    ///
    /// # Errors
    /// If the directory's ledger cannot be read.
    pub fn with_files(
        mut self,
        directory: MultiprocDirectory,
        lock: AgentLock,
        settings: FilesSettings,
    ) -> Result<Self, LedgerError> {
        self.directories.push(Box::new(Files::open(directory, lock, settings)?));
        Ok(self)
    }

    /// The agent's counts, updated at every scan.
    pub fn status(&self) -> watch::Receiver<AgentStatus> {
        self.status.subscribe()
    }

    /// Works until `shutdown` (then with a last push of everything), or until it is idle if that is set. First raises
    /// this process's soft limit of open files, because every source takes some.
    ///
    /// # Errors
    /// If a directory goes away.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), AgentError> {
        file_limit::raise_limit();
        let mut ticks = tokio::time::interval(self.settings.scan_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return self.drain().await,
                _ = ticks.tick() => {
                    self.scan()?;
                    if self.is_idle() && self.leave()? {
                        return Ok(());
                    }
                    self.send();
                }
                Some(outcome) = self.under_way.join_next() => self.take(outcome),
            }
        }
    }

    fn scan(&mut self) -> Result<(), AgentError> {
        let now = clock::now();
        for directory in &mut self.directories {
            directory.scan(&self.targets, now)?;
        }
        self.ask(now);
        let (mut live, mut owed, mut have_arrived) = (0, 0, true);
        for directory in &mut self.directories {
            live += directory.counts().live;
            owed += directory.sources().owed();
            have_arrived &= directory.is_known() && directory.sources().have_arrived();
        }
        if live > 0 {
            self.last_live = now;
        }
        if live > 0 || owed > 0 {
            self.last_busy = now;
        }
        let directories = &self.directories;
        self.status.send_modify(|status| {
            status.has_arrived |= have_arrived;
            for directory in directories {
                directory.report(status);
            }
        });
        Ok(())
    }

    /// Starts the questions that directories have.
    fn ask(&mut self, now: Instant) {
        for (index, directory) in self.directories.iter_mut().enumerate() {
            if let Some(question) = directory.question(now) {
                self.under_way.spawn(async move {
                    Outcome::Folds { directory: index, answer: question.answer().await }
                });
            }
        }
    }

    /// Starts the calls that are due.
    fn send(&mut self) {
        (0..self.directories.len()).for_each(|directory| self.send_from(directory, None));
    }

    /// Starts the calls of one directory that are due, or of one source of it.
    fn send_from(&mut self, index: usize, only: Option<SourceKey>) {
        let directory = &mut self.directories[index];
        let fresh = || Incarnation(rand::random());
        let Due { pushes, unreadable } = directory.sources().due(only, clock::now(), &fresh);
        for (key, namespace, metrifold_push::Due { target, push }) in pushes {
            let (transport, calls) = (self.targets.transports[target].clone(), self.calls[target].clone());
            self.under_way.spawn(async move {
                let _permit = calls.acquire().await;
                let result = transport.push(&namespace, &push).await;
                Outcome::Push { directory: index, key, target, seq: push.seq, result }
            });
        }
        for (key, error) in unreadable {
            directory.skip_unreadable(key, &error);
        }
    }

    /// Takes what came of something, and goes on with the source that it was about. The others are looked at at every
    /// tick: looking at all of them after every answer would take the square of their number.
    fn take(&mut self, outcome: Result<Outcome, tokio::task::JoinError>) {
        let now = clock::now();
        let (directory, key, target, seq, result) = match outcome {
            Ok(Outcome::Push { directory, key, target, seq, result }) => {
                (directory, key, target, seq, result)
            }
            Ok(Outcome::Folds { directory, answer }) => {
                return self.directories[directory].answered(answer, now);
            }
            // A target that panics is a bug; its source stays silent, and everything it recorded stays in its memory.
            Err(error) => return tracing::error!(%error, "a push broke"),
        };
        match result {
            Ok(answer) => {
                self.heard_from(target, now);
                self.directories[directory].sources().answered(key, target, now, seq, answer);
                if let Answer::Refused(refusal) = answer {
                    self.status.send_modify(|status| status.refused += 1);
                    let push_target = self.targets.transports[target].name();
                    let source = self.directories[directory].name_of(key);
                    tracing::warn!(source, push_target, %refusal, "a push was refused");
                }
            }
            Err(error) => {
                self.directories[directory].sources().unanswered(key, target);
                if !std::mem::replace(&mut self.silent[target], true) {
                    let push_target = self.targets.transports[target].name();
                    tracing::warn!(push_target, %error, "a target does not answer; values wait where they are");
                }
            }
        }
        self.send_from(directory, Some(key));
    }

    fn heard_from(&mut self, target: usize, now: Instant) {
        if std::mem::replace(&mut self.silent[target], false) {
            tracing::info!(push_target = self.targets.transports[target].name(), "a target answers again");
            self.directories.iter_mut().for_each(|directory| directory.sources().reconnected(target, now));
        }
    }

    fn is_idle(&self) -> bool {
        let AgentSettings { exit_when_idle, linger, .. } = self.settings;
        let now = clock::now();
        exit_when_idle
            && (now.since(self.last_busy) >= linger
                || now.since(self.last_live) >= linger * LINGERS_UNACKNOWLEDGED_MAX)
    }

    /// Gives the directories up; `false` if a worker has begun at this very moment.
    fn leave(&mut self) -> Result<bool, AgentError> {
        for directory in &mut self.directories {
            if !directory.leave()? {
                self.last_live = clock::now();
                self.last_busy = self.last_live;
                return Ok(false);
            }
        }
        self.warn_of_unacknowledged();
        Ok(true)
    }

    fn unacknowledged(&mut self) -> usize {
        self.directories.iter_mut().map(|directory| directory.sources().unacknowledged()).sum()
    }

    fn warn_of_unacknowledged(&mut self) {
        let unacknowledged = self.unacknowledged();
        if unacknowledged > 0 {
            tracing::warn!(unacknowledged, "sources wait for the next agent");
        }
    }

    /// Pushes everything once more. What is not acknowledged in time stays where it is for the next agent.
    async fn drain(mut self) -> Result<(), AgentError> {
        let drained = tokio::time::timeout(self.settings.drain_timeout, self.push_all()).await;
        if drained.is_err() {
            self.warn_of_unacknowledged();
        }
        drained.unwrap_or(Ok(()))
    }

    /// A target that hangs keeps only its own pushes from being acknowledged.
    async fn push_all(&mut self) -> Result<(), AgentError> {
        self.scan()?;
        let now = clock::now();
        self.directories.iter_mut().for_each(|directory| directory.sources().push_last(now));
        let mut ticks = tokio::time::interval(self.settings.scan_interval);
        while self.unacknowledged() > 0 {
            tokio::select! {
                Some(outcome) = self.under_way.join_next() => self.take(outcome),
                _ = ticks.tick() => self.send(),
            }
        }
        let now = clock::now();
        self.directories.iter_mut().try_for_each(|directory| directory.release(now))
    }
}
