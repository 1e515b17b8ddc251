//! A worker that keeps a truth of its own beside its metrics.
//!
//! ```text
//! worker --ledger FILE [--target URL] [--rate EVENTS_PER_SECOND] [--events N] [--flush-every SPAN]
//! ```
//!
//! Counts events in an ordinary registry until SIGTERM, or until `--events` of them are counted; then makes the last push.
//! Other settings come from the environment (`METRIFOLD_NAMESPACE`, ...). The ledger is a file of three little-endian `u64`:
//!
//! | byte | number of events that |
//! | --- | --- |
//! | 0 | were started: written before anything is counted |
//! | 8 | were finished: written after everything is counted |
//! | 16 | are acknowledged: finished before a flush that succeeded |
//!
//! So whenever and however the worker ends: acknowledged <= merged <= started.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use metrifold_client::{GaugeMode, Pusher};
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

const PATHS: [&str; 3] = ["/", "/cart", "/search"];
/// How often a worker that waits for its next event looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);
const END_TIMEOUT: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("worker: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), AnyError> {
    let options = Options::parse(std::env::args().skip(1))?;
    let ledger = Arc::new(Ledger::create(&options.ledger)?);
    let registry = Registry::new();
    let metrics = Metrics::register(&registry)?;
    let mut builder = Pusher::builder().registry(registry).gauge_mode("worker_present", GaugeMode::LiveAll);
    if let Some(target) = &options.target {
        builder = builder.target(target);
    }
    let pusher = Arc::new(builder.start()?);
    let is_ending = Arc::new(AtomicBool::new(false));
    end_on_sigterm(&is_ending)?;
    let finished = Arc::new(AtomicU64::new(0));
    let flusher = flush_often(&options, &pusher, &ledger, &finished, &is_ending);

    count(&options, &metrics, &ledger, &finished, &is_ending)?;

    is_ending.store(true, Ordering::Relaxed);
    flusher.join().map_err(|_| "the flushing thread panicked")??;
    let pusher = Arc::into_inner(pusher).ok_or("the flushing thread has ended and holds no pusher")?;
    let total = finished.load(Ordering::Relaxed);
    pusher.shutdown(END_TIMEOUT)?;
    ledger.write(Line::Acknowledged, total)?;
    println!("counted {total} events, all acknowledged");
    Ok(())
}

/// Counts at the given rate, as evenly as sleeping allows.
fn count(
    options: &Options,
    metrics: &Metrics,
    ledger: &Ledger,
    finished: &AtomicU64,
    is_ending: &AtomicBool,
) -> Result<(), AnyError> {
    let began = Instant::now();
    for number in 1..=options.events {
        if is_ending.load(Ordering::Relaxed) {
            break;
        }
        ledger.write(Line::Started, number)?;
        metrics.count(number);
        ledger.write(Line::Finished, number)?;
        finished.store(number, Ordering::Release);
        let due = began + Duration::from_secs_f64(number as f64 / options.rate);
        while !is_ending.load(Ordering::Relaxed) && Instant::now() < due {
            std::thread::sleep(due.saturating_duration_since(Instant::now()).min(LOOK));
        }
    }
    Ok(())
}

/// Flushes beside the counting, which waits for nobody.
fn flush_often(
    options: &Options,
    pusher: &Arc<Pusher>,
    ledger: &Arc<Ledger>,
    finished: &Arc<AtomicU64>,
    is_ending: &Arc<AtomicBool>,
) -> std::thread::JoinHandle<std::io::Result<()>> {
    let (pusher, ledger) = (Arc::clone(pusher), Arc::clone(ledger));
    let (finished, is_ending) = (Arc::clone(finished), Arc::clone(is_ending));
    let pause = options.flush_every;
    std::thread::spawn(move || {
        while !is_ending.load(Ordering::Relaxed) {
            let before = finished.load(Ordering::Acquire);
            // A target that is down is tried again.
            if pusher.flush(FLUSH_TIMEOUT).is_ok() {
                ledger.write(Line::Acknowledged, before)?;
            }
            std::thread::sleep(pause);
        }
        Ok(())
    })
}

fn end_on_sigterm(is_ending: &Arc<AtomicBool>) -> Result<(), AnyError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut signals = runtime
        .block_on(async { tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) })?;
    let is_ending = Arc::clone(is_ending);
    std::thread::spawn(move || {
        runtime.block_on(signals.recv());
        is_ending.store(true, Ordering::Relaxed);
    });
    Ok(())
}

struct Metrics {
    events: IntCounter,
    requests: IntCounterVec,
    seconds: Histogram,
}

impl Metrics {
    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Metrics {
            events: IntCounter::new("worker_events_total", "Events.")?,
            requests: IntCounterVec::new(Opts::new("worker_requests_total", "Events by path."), &["path"])?,
            seconds: Histogram::with_opts(HistogramOpts::new("worker_seconds", "How long events took."))?,
        };
        registry.register(Box::new(metrics.events.clone()))?;
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.seconds.clone()))?;
        // Of mode `all` where nothing else is said: it outlives the worker by the gauge retention.
        let seen = IntGauge::new("worker_seen", "1 for each worker, also for a while after its end.")?;
        let present = IntGauge::new("worker_present", "1 for each live worker.")?;
        for gauge in [seen, present] {
            gauge.set(1);
            registry.register(Box::new(gauge))?;
        }
        Ok(metrics)
    }

    fn count(&self, number: u64) {
        self.events.inc();
        self.requests.with_label_values(&[PATHS[(number % 3) as usize]]).inc();
        self.seconds.observe((number % 120) as f64 * 0.1);
    }
}

#[derive(Clone, Copy)]
enum Line {
    Started = 0,
    Finished = 8,
    Acknowledged = 16,
}

struct Ledger(File);

impl Ledger {
    fn create(path: &PathBuf) -> std::io::Result<Self> {
        let ledger = Ledger(File::create(path)?);
        [Line::Started, Line::Finished, Line::Acknowledged]
            .into_iter()
            .try_for_each(|line| ledger.write(line, 0))?;
        Ok(ledger)
    }

    fn write(&self, line: Line, number: u64) -> std::io::Result<()> {
        self.0.write_all_at(&number.to_le_bytes(), line as u64)
    }
}

struct Options {
    ledger: PathBuf,
    target: Option<String>,
    rate: f64,
    events: u64,
    flush_every: Duration,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, AnyError> {
        let mut options = Options {
            ledger: PathBuf::new(),
            target: None,
            rate: 1000.0,
            events: u64::MAX,
            flush_every: Duration::from_millis(200),
        };
        while let Some(flag) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{flag} needs a value"))?;
            match flag.as_str() {
                "--ledger" => options.ledger = value.into(),
                "--target" => options.target = Some(value),
                "--rate" => options.rate = value.parse()?,
                "--events" => options.events = value.parse()?,
                "--flush-every" => options.flush_every = humantime::parse_duration(&value)?,
                _ => return Err(format!("unknown flag {flag}").into()),
            }
        }
        if options.ledger.as_os_str().is_empty() {
            return Err("--ledger FILE is missing".into());
        }
        Ok(options)
    }
}
