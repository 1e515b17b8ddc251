//! The address of a page, and when whoever serves it may be out of reach.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

/// A page of a server, which a test may kill or cut off.
#[derive(Clone, Debug)]
pub struct Page {
    url: String,
    outages: Arc<Mutex<Outages>>,
}

#[derive(Debug, Default)]
struct Outages {
    under_way: usize,
    last_end: Option<Instant>,
}

/// Its server is known to be out of reach for as long as this lives.
#[must_use]
pub struct Outage(Page);

impl Page {
    /// Of a server that nobody has killed or cut off.
    pub fn new(url: impl Into<String>) -> Page {
        Page { url: url.into(), outages: Arc::default() }
    }

    /// Of the same server, at another address.
    pub fn at(&self, url: impl Into<String>) -> Page {
        Page { url: url.into(), outages: self.outages.clone() }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whoever kills the server, or cuts it off, says so first.
    pub fn outage(&self) -> Outage {
        self.outages().under_way += 1;
        Outage(self.clone())
    }

    /// Whether its server was known to be out of reach at some time from `began` on.
    pub fn was_out_of_reach_since(&self, began: Instant) -> bool {
        let outages = self.outages();
        outages.under_way > 0 || outages.last_end.is_some_and(|end| end >= began)
    }

    fn outages(&self) -> MutexGuard<'_, Outages> {
        self.outages.lock().expect("no panic under this lock")
    }
}

impl Drop for Outage {
    fn drop(&mut self) {
        let mut outages = self.0.outages();
        outages.under_way -= 1;
        outages.last_end = Some(Instant::now());
    }
}
