//! The hidden command `demo-worker`: counts as fast as it can until it is told to stop, or killed.

use std::{
    io::{self, Read},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use metrifold_model::{Descriptor, Kind, Labels};
use metrifold_segment::{Recorder, RecorderSettings, Slot};

use crate::ledger::Ledger;

/// Upper bounds of the histogram's buckets, as prometheus_client prints them.
const BOUNDS: [(f64, &str); 4] = [(0.25, "0.25"), (0.5, "0.5"), (0.75, "0.75"), (f64::INFINITY, "+Inf")];
const KINDS: [&str; 3] = ["read", "write", "delete"];
/// Workers yield to the server and to the rest of the machine.
const NICENESS: i32 = 10;

pub(crate) const EVENTS: &str = "metrifold_demo_events";
pub(crate) const EVENTS_BY_KIND: &str = "metrifold_demo_events_by_kind";
pub(crate) const COST: &str = "metrifold_demo_cost";

/// What a worker of the demo is given.
#[derive(Clone, Debug, clap::Args)]
pub struct WorkerArguments {
    /// The segment directory.
    #[arg(long)]
    pub segment_dir: PathBuf,
    /// The ledger to write.
    #[arg(long)]
    pub ledger: PathBuf,
}

/// Counts until SIGTERM, or until stdin ends because the demo has gone.
///
/// # Errors
/// If the ledger cannot be written: without it there is no truth to compare with.
pub fn work(arguments: &WorkerArguments) -> io::Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_sigterm(stop.clone())?;
    stop_on_end_of_input(stop.clone());
    let _ = rustix::process::nice(NICENESS);
    let mut ledger = Ledger::create(&arguments.ledger)?;
    let recorder = Recorder::open(RecorderSettings {
        directory: Some(arguments.segment_dir.clone()),
        instance: "demo".into(),
        ..RecorderSettings::default()
    });
    let events = Events::new(&recorder);
    for number in 0u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        ledger.start()?;
        events.record(number);
        ledger.finish()?;
    }
    Ok(())
}

fn stop_on_sigterm(stop: Arc<AtomicBool>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let mut signal = runtime
        .block_on(async { tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) })?;
    std::thread::spawn(move || {
        runtime.block_on(signal.recv());
        stop.store(true, Ordering::Relaxed);
    });
    Ok(())
}

fn stop_on_end_of_input(stop: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        stop.store(true, Ordering::Relaxed);
    });
}

/// The metrics of one worker: a counter, a labelled counter and a histogram.
struct Events {
    all: Slot,
    by_kind: Vec<Slot>,
    buckets: Vec<Slot>,
    sum: Slot,
}

impl Events {
    fn new(recorder: &Recorder) -> Events {
        let counter = |family: &str, labels, help: &str| {
            recorder.slot(Descriptor::new(Kind::Counter, family, format!("{family}_total"), labels, help))
        };
        let histogram = |suffix: &str, labels| {
            let sample = format!("{COST}_{suffix}");
            recorder.slot(Descriptor::new(Kind::Histogram, COST, sample, labels, "What an event cost."))
        };
        let by_kind =
            |kind| counter(EVENTS_BY_KIND, Labels::new([("kind", kind)]), "Events of the demo by kind.");
        let bucket = |(_, bound): (f64, &str)| histogram("bucket", Labels::new([("le", bound)]));
        Events {
            all: counter(EVENTS, Labels::default(), "Events of the demo."),
            by_kind: KINDS.map(by_kind).into(),
            sum: histogram("sum", Labels::default()),
            buckets: BOUNDS.map(bucket).into(),
        }
    }

    fn record(&self, number: u64) {
        let cost = (number % 10) as f64 / 10.0;
        let bucket = BOUNDS.iter().position(|(bound, _)| cost <= *bound).unwrap_or(BOUNDS.len() - 1);
        self.all.add(1.0);
        self.by_kind[number as usize % KINDS.len()].add(1.0);
        self.buckets[bucket].add(1.0);
        self.sum.add(cost);
    }
}
