//! Requests to an application, as fast as it answers them, from several threads.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// A running load; it stops when dropped.
pub struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Asks for `url` from `clients` threads. A request that fails (its worker was killed) is simply followed by the
    /// next.
    pub fn start(url: &str, clients: usize) -> Load {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let spawn = |_| {
            let (stop, answered, url) = (stop.clone(), answered.clone(), url.to_owned());
            thread::spawn(move || {
                let agent = ureq::Agent::new_with_config(
                    ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(10))).build(),
                );
                while !stop.load(Ordering::Relaxed) {
                    if agent.get(&url).call().is_ok() {
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        };
        let threads = (0..clients).map(spawn).collect();
        Load { stop, answered, threads }
    }

    /// How many requests were answered so far.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Stops and waits for the requests under way.
    pub fn finish(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("a load thread does not panic");
        }
        self.answered()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
