//! Samples `/metrics` in the background and refuses any decrease.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use crate::{Scrape, eventually};

/// How long a watch may need to see enough.
const DEADLINE: Duration = Duration::from_secs(60);

/// What a watch has seen.
#[derive(Clone, Copy, Debug)]
pub struct Watched {
    /// Scrapes that succeeded.
    pub samples: usize,
    /// Scrapes that failed: a scrape may say 503, but not lie.
    pub refused: usize,
    /// Longest time without a scrape that succeeded, at any of the addresses.
    pub gap: Duration,
}

#[derive(Default)]
struct Seen {
    /// By address: when it last succeeded.
    successes: BTreeMap<String, Instant>,
    gap: Duration,
    highest: BTreeMap<String, f64>,
    samples: usize,
    refused: usize,
    decreases: Vec<String>,
}

/// Scrapes one or several addresses in turn, five times a second, until [`Watch::finish`].
pub struct Watch {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Time between two scrapes.
    const INTERVAL: Duration = Duration::from_millis(200);

    /// Starts to watch.
    pub fn start(urls: &[String]) -> Watch {
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Seen::default())));
        let thread = thread::spawn({
            let (stop, seen, urls) = (stop.clone(), seen.clone(), urls.to_vec());
            move || {
                for url in urls.iter().cycle() {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let scrape = Scrape::of(url);
                    seen.lock().expect("no panic under this lock").take(url, scrape);
                    thread::park_timeout(Watch::INTERVAL);
                }
            }
        });
        Watch { stop, seen, thread: Some(thread) }
    }

    /// Ends the watch, once `samples_min` scrapes have succeeded; an error names every decrease.
    pub fn finish(mut self, samples_min: usize) -> Result<Watched> {
        eventually("the watch has seen enough", DEADLINE, || {
            let seen = self.seen.lock().expect("no panic under this lock");
            let (samples, refused) = (seen.samples, seen.refused);
            ensure!(samples >= samples_min, "{samples} scrapes succeeded, {refused} failed");
            Ok(())
        })?;
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            thread.join().expect("the watching thread does not panic");
        }
        let seen = self.seen.lock().expect("no panic under this lock");
        ensure!(seen.decreases.is_empty(), "went down: {:#?}", seen.decreases);
        Ok(Watched { samples: seen.samples, refused: seen.refused, gap: seen.gap })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Seen {
    fn take(&mut self, url: &str, scrape: Result<Scrape>) {
        let now = Instant::now();
        let last = self.successes.entry(url.to_owned()).or_insert(now);
        self.gap = self.gap.max(now - *last);
        if scrape.is_ok() {
            *last = now;
        }
        let Ok(scrape) = scrape else {
            self.refused += 1;
            return;
        };
        self.samples += 1;
        for (series, value) in scrape.monotone() {
            let highest = self.highest.entry(series.to_owned()).or_insert(value);
            if value < *highest {
                self.decreases
                    .push(format!("{series}: {highest} -> {value} ({url}, sample {})", self.samples));
            }
            *highest = highest.max(value);
        }
        // A series that vanishes and comes back lower is caught above; one that vanishes for good is a decrease too.
        let gone = self.highest.keys().filter(|series| !scrape.samples.contains_key(*series));
        self.decreases
            .extend(gone.map(|series| format!("{series} vanished ({url}, sample {})", self.samples)));
    }
}
