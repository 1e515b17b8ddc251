//! Samples `/metrics` in the background and refuses any decrease.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use crate::{NoPage, Page, Scrape, eventually, pressure::Pressure};

/// How long a watch may need to see enough.
const DEADLINE: Duration = Duration::from_secs(60);
/// Service Unavailable: the one answer that is no page and no lie.
const REFUSED: u16 = 503;

/// What a watch has seen.
#[derive(Clone, Copy, Debug)]
pub struct Watched {
    /// Scrapes that succeeded.
    pub samples: usize,
    /// Since the last [`Watch::gap`].
    pub gap: Gap,
}

/// Times without a view.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gap {
    /// Scrapes that were answered by 503.
    pub refused: usize,
    /// The same while the machine had no core to spare.
    pub excused: usize,
    /// Scrapes that were not answered, by a server that was known to be out of reach.
    pub unanswered: usize,
    /// Longest time between two scrapes of one address that succeeded, with others in between that did not, less the time
    /// in which the machine had no core to spare.
    pub longest: Duration,
}

/// Of one address.
struct Address {
    /// When a scrape succeeded last, or the first one began.
    last: Instant,
    /// When the last one that succeeded began.
    last_began: Option<Instant>,
    /// Whether there was another one since.
    is_failing: bool,
    /// Since the last that succeeded.
    pressure: Pressure,
}

#[derive(Default)]
struct Seen {
    addresses: BTreeMap<String, Address>,
    gap: Gap,
    highest: BTreeMap<String, f64>,
    samples: usize,
    /// Whatever must not be: decreases, answers that are neither a page nor 503, servers that do not answer.
    wrong: Vec<String>,
}

/// Scrapes one or several addresses in turn, five times a second, until [`Watch::finish`].
pub struct Watch {
    pages: usize,
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Time between two scrapes.
    const INTERVAL: Duration = Duration::from_millis(200);

    /// Starts to watch.
    pub fn start(pages: &[Page]) -> Watch {
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Seen::default())));
        let thread = thread::spawn({
            let (stop, seen, pages) = (stop.clone(), seen.clone(), pages.to_vec());
            move || {
                for page in pages.iter().cycle() {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let began = Instant::now();
                    let scrape = Scrape::of(page.url());
                    lock(&seen).take(page, began, scrape);
                    thread::park_timeout(Watch::INTERVAL);
                }
            }
        });
        Watch { pages: pages.len(), stop, seen, thread: Some(thread) }
    }

    /// What there was since the watch began or this was last asked, times that are not over yet included.
    pub fn gap(&self) -> Gap {
        lock(&self.seen).take_gap()
    }

    /// Whether every address has been scraped from beginning to end since then: what was under way before, and failed, has
    /// been counted.
    pub fn has_seen_all_since(&self, moment: Instant) -> bool {
        let seen = lock(&self.seen);
        let is_new = |address: &Address| address.last_began.is_some_and(|began| began >= moment);
        seen.addresses.len() == self.pages && seen.addresses.values().all(is_new)
    }

    /// Ends the watch, once `samples_min` scrapes have succeeded; an error names everything that was wrong.
    pub fn finish(mut self, samples_min: usize) -> Result<Watched> {
        eventually("the watch has seen enough", DEADLINE, || {
            let seen = lock(&self.seen);
            ensure!(seen.samples >= samples_min, "{} scrapes succeeded, {:?}", seen.samples, seen.gap);
            Ok(())
        })?;
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            thread.join().expect("the watching thread does not panic");
        }
        let mut seen = lock(&self.seen);
        ensure!(seen.wrong.is_empty(), "went down, or gave no answer: {:#?}", seen.wrong);
        Ok(Watched { samples: seen.samples, gap: seen.take_gap() })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().expect("no panic under this lock")
}

impl Address {
    /// How long it has been failing by now, as far as it is to blame.
    fn gap(&self) -> Duration {
        match self.is_failing {
            true => self.last.elapsed().saturating_sub(self.pressure.starved()),
            false => Duration::ZERO,
        }
    }
}

impl Seen {
    fn take(&mut self, page: &Page, began: Instant, scrape: Result<Scrape>) {
        let first = Address { last: began, last_began: None, is_failing: false, pressure: Pressure::start() };
        let address = self.addresses.entry(page.url().to_owned()).or_insert(first);
        address.is_failing |= scrape.is_err();
        self.gap.longest = self.gap.longest.max(address.gap());
        match scrape {
            Ok(scrape) => {
                *address = Address {
                    last: Instant::now(),
                    last_began: Some(began),
                    is_failing: false,
                    pressure: Pressure::start(),
                };
                self.samples += 1;
                self.compare(page.url(), &scrape);
            }
            Err(error) if error.downcast_ref::<NoPage>().is_some_and(|no| no.status == REFUSED) => {
                match address.pressure.starved().is_zero() {
                    true => self.gap.refused += 1,
                    false => self.gap.excused += 1,
                }
            }
            Err(error) if error.is::<ureq::Error>() && page.was_out_of_reach_since(began) => {
                self.gap.unanswered += 1;
            }
            Err(error) => self.wrong.push(format!("{error:#} (sample {})", self.samples)),
        }
    }

    fn compare(&mut self, url: &str, scrape: &Scrape) {
        for (series, value) in scrape.monotone() {
            let highest = self.highest.entry(series.to_owned()).or_insert(value);
            if value < *highest {
                self.wrong.push(format!("{series}: {highest} -> {value} ({url}, sample {})", self.samples));
            }
            *highest = highest.max(value);
        }
        // A series that vanishes and comes back lower is caught above; one that vanishes for good is a decrease too.
        let gone = self.highest.keys().filter(|series| !scrape.samples.contains_key(*series));
        self.wrong.extend(gone.map(|series| format!("{series} vanished ({url}, sample {})", self.samples)));
    }

    fn take_gap(&mut self) -> Gap {
        let open = self.addresses.values().map(Address::gap).max().unwrap_or_default();
        let mut gap = std::mem::take(&mut self.gap);
        gap.longest = gap.longest.max(open);
        gap
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
    };

    use super::*;

    /// Longer than anything takes here.
    const AMPLE: Duration = Duration::from_secs(20);

    /// A server that gives each of these answers once, and then only the last one.
    fn server<const COUNT: usize>(answers: [(u16, &'static str); COUNT]) -> Result<Page> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let page = Page::new(format!("http://{}/metrics", listener.local_addr()?));
        thread::spawn(move || {
            for (number, stream) in listener.incoming().map_while(Result::ok).enumerate() {
                let (status, body) = answers[number.min(answers.len() - 1)];
                let length = body.len();
                let mut stream = stream;
                let _ = stream.read(&mut [0; 1024]);
                let head =
                    format!("HTTP/1.1 {status} _\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
                let _ = stream.write_all(format!("{head}{body}").as_bytes());
            }
        });
        Ok(page)
    }

    fn complaint(page: Page) -> String {
        Watch::start(&[page]).finish(2).map_or_else(|error| format!("{error:#}"), |_| String::new())
    }

    const PAGE: (u16, &str) = (200, "# TYPE events_total counter\nevents_total 1\n");

    #[test]
    fn a_refusal_is_no_complaint_but_counts() -> Result<()> {
        let watched = Watch::start(&[server([PAGE, (503, "settling"), PAGE])?]).finish(2)?;
        assert_eq!((watched.gap.refused + watched.gap.excused, watched.gap.unanswered), (1, 0));
        Ok(())
    }

    #[test]
    fn every_other_answer_is_a_complaint() -> Result<()> {
        assert!(complaint(server([PAGE, (500, "oh"), PAGE])?).contains("500"));
        assert!(complaint(server([PAGE, (404, "what"), PAGE])?).contains("404"));
        assert!(complaint(server([PAGE, (200, "events_total one\n"), PAGE])?).contains("no number"));
        let lower = (200, "# TYPE events_total counter\nevents_total 0\n");
        assert!(complaint(server([PAGE, lower])?).contains("1 -> 0"));
        Ok(())
    }

    #[test]
    fn only_a_server_that_is_known_to_be_out_of_reach_may_leave_a_scrape_unanswered() -> Result<()> {
        let nobody = Page::new(format!("http://127.0.0.1:{}/metrics", crate::free_port()?));
        let both = [server([PAGE])?, nobody.clone()];
        let complaint =
            Watch::start(&both).finish(2).map_or_else(|error| format!("{error:#}"), |_| String::new());
        assert!(complaint.contains("refused"), "{complaint}");
        let outage = nobody.outage();
        let watch = Watch::start(&both);
        eventually("a scrape is unanswered", AMPLE, || {
            ensure!(watch.gap().unanswered > 0, "not yet");
            Ok(())
        })?;
        watch.finish(2)?;
        drop(outage);
        Ok(())
    }
}
