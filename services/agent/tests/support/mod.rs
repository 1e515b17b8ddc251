//! Real worker processes, faulty targets, and totals, for the suites of this folder.

#![allow(dead_code, reason = "each suite uses its part")]

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use async_trait::async_trait;
use metrifold_agent::{Agent, AgentError, AgentSettings, AgentStatus, StoreTransport};
use metrifold_merge::{MergeOptions, merge};
use metrifold_model::{Descriptor, Kind, Labels, Namespace};
use metrifold_push::{Transport, Unanswered};
use metrifold_segment::{Recorder, RecorderSettings, SegmentDirectory};
use metrifold_session::{Answer, Push, PusherSettings, Refusal};
use metrifold_store::{EmbeddedSettings, EmbeddedStore, ShardIndex, Store};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

const DIRECTORY: &str = "METRIFOLD_TEST_SEGMENTS";
const LEDGER: &str = "METRIFOLD_TEST_LEDGER";

/// The body of each suite's `worker_process` test: counts for ever if this process was started as a worker.
pub(crate) fn count_if_worker() -> Result<()> {
    let (Some(directory), Some(ledger)) = (std::env::var_os(DIRECTORY), std::env::var_os(LEDGER)) else {
        return Ok(());
    };
    let recorder =
        Recorder::open(RecorderSettings { directory: Some(directory.into()), ..RecorderSettings::default() });
    let counter =
        recorder.slot(Descriptor::new(Kind::Counter, "events", "events_total", Labels::default(), "Events"));
    let ledger = File::create(ledger)?;
    for event in 1_u64.. {
        ledger.write_all_at(&event.to_le_bytes(), 0)?;
        counter.add(1.0);
        ledger.write_all_at(&event.to_le_bytes(), 8)?;
    }
    Ok(())
}

/// A process that counts as fast as it can; killed when dropped.
pub(crate) struct Worker {
    child: Child,
    ledger: std::path::PathBuf,
}

impl Worker {
    /// Starts this test binary again, as a worker.
    pub(crate) fn start(segments: &Path, ledger: &Path) -> Result<Worker> {
        let child = Command::new(std::env::current_exe()?)
            .args(["--exact", "worker_process"])
            .env(DIRECTORY, segments)
            .env(LEDGER, ledger)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Worker { child, ledger: ledger.to_owned() })
    }

    /// Events that it began and that it ended.
    pub(crate) fn events(&self) -> (u64, u64) {
        let bytes = std::fs::read(&self.ledger).unwrap_or_default();
        let (words, _) = bytes.as_chunks::<8>();
        let word = |index: usize| words.get(index).map_or(0, |word| u64::from_le_bytes(*word));
        (word(0), word(1))
    }

    /// SIGKILL; returns the events it began and ended.
    pub(crate) fn kill(mut self) -> Result<(u64, u64)> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(self.events())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A target with faults that can be switched on and off.
pub(crate) struct Faulty {
    name: String,
    inner: StoreTransport,
    /// Nothing arrives.
    pub(crate) is_down: AtomicBool,
    /// Every other answer is lost after the store took the push.
    pub(crate) loses_answers: AtomicBool,
    /// Nothing is ever answered, and nothing arrives.
    pub(crate) hangs: AtomicBool,
    /// Every push is refused for good.
    pub(crate) refuses: AtomicBool,
    /// Pushes that came, whatever became of them.
    pub(crate) calls: AtomicU64,
    answers: AtomicU64,
}

impl Faulty {
    pub(crate) fn new(name: &str, store: &Arc<EmbeddedStore>) -> Arc<Faulty> {
        let store: Arc<dyn Store> = store.clone();
        Arc::new(Faulty {
            name: name.into(),
            inner: StoreTransport::new(name, store),
            is_down: AtomicBool::new(false),
            loses_answers: AtomicBool::new(false),
            hangs: AtomicBool::new(false),
            refuses: AtomicBool::new(false),
            calls: AtomicU64::new(0),
            answers: AtomicU64::new(0),
        })
    }
}

#[async_trait]
impl Transport for Faulty {
    fn name(&self) -> &str {
        &self.name
    }

    async fn push(&self, namespace: &Namespace, push: &Push) -> Result<Answer, Unanswered> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if self.refuses.load(Ordering::Relaxed) {
            return Ok(Answer::Refused(Refusal::TooManySources));
        }
        if self.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        if self.is_down.load(Ordering::Relaxed) {
            return Err(Unanswered("it is down".into()));
        }
        let answer = self.inner.push(namespace, push).await?;
        let is_odd = self.answers.fetch_add(1, Ordering::Relaxed) % 2 == 1;
        if is_odd && self.loses_answers.load(Ordering::Relaxed) {
            return Err(Unanswered("the answer was lost".into()));
        }
        Ok(answer)
    }
}

pub(crate) fn store() -> Result<Arc<EmbeddedStore>> {
    Ok(Arc::new(EmbeddedStore::open(EmbeddedSettings::default())?))
}

/// The merged counter, and how many sources are live.
pub(crate) async fn total(store: &dyn Store) -> Result<(f64, usize)> {
    let snapshot = store.snapshot(&Namespace::default(), ShardIndex(0)).await?;
    let live = snapshot.records.values().filter(|record| !record.ended).count();
    let view = merge(&[snapshot], &MergeOptions::default());
    let total =
        view.families.first().and_then(|family| family.samples().next()).map_or(0.0, |sample| sample.value);
    Ok((total, live))
}

/// Short times, so that a suite is quick.
pub(crate) fn quick() -> AgentSettings {
    let pusher = PusherSettings {
        interval: Duration::from_millis(50),
        retry_min: Duration::from_millis(20),
        retry_max: Duration::from_millis(100),
        ..PusherSettings::default()
    };
    AgentSettings { pusher, scan_interval: Duration::from_millis(10), ..AgentSettings::default() }
}

/// A running agent.
pub(crate) struct Running {
    pub(crate) task: JoinHandle<Result<(), AgentError>>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) status: watch::Receiver<AgentStatus>,
}

pub(crate) fn start(
    segments: &Path,
    targets: Vec<Arc<dyn Transport>>,
    settings: AgentSettings,
) -> Result<Running> {
    let directory = SegmentDirectory::open(segments)?;
    let lock = directory.agent_lock()?;
    let shutdown = CancellationToken::new();
    let agent = Agent::new(targets, settings).with_segments(directory, lock);
    let status = agent.status();
    let task = tokio::spawn(agent.run(shutdown.clone()));
    Ok(Running { task, shutdown, status })
}

pub(crate) use metrifold_tests::eventually_async as eventually;

/// Waits until the worker has counted something.
pub(crate) async fn counted(worker: &Worker, least: u64) -> Result<()> {
    eventually(|| async {
        ensure!(worker.events().1 > least, "only {:?}", worker.events());
        Ok(())
    })
    .await
}

/// Waits until nobody is live, then checks the total against what the killed workers wrote.
pub(crate) async fn assert_exact(
    store: &EmbeddedStore,
    segments: &Path,
    began: u64,
    ended: u64,
) -> Result<()> {
    let directory = SegmentDirectory::open(segments)?;
    eventually(|| async {
        ensure!(directory.segments()?.is_empty(), "segments remain");
        Ok(())
    })
    .await?;
    let (total, live) = total(store).await?;
    ensure!(live == 0, "{live} sources are still live");
    ensure!(total >= ended as f64 && total <= began as f64, "{ended} ended, {total} merged, {began} began");
    Ok(())
}
