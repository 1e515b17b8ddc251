//! The demo's workers, and their deaths.

use std::{path::PathBuf, process::Stdio};

use tokio::process::Child;

use crate::{DemoError, server};

/// All workers that run now.
pub(crate) struct Crew {
    segments: PathBuf,
    ledgers: PathBuf,
    workers: Vec<Child>,
    hired: u64,
    pub(crate) kills: u64,
}

impl Crew {
    /// Starts `size` workers.
    pub(crate) fn start(size: usize, segments: PathBuf, ledgers: PathBuf) -> Result<Crew, DemoError> {
        let mut crew = Crew { segments, ledgers, workers: Vec::new(), hired: 0, kills: 0 };
        for _ in 0..size {
            crew.hire()?;
        }
        Ok(crew)
    }

    fn hire(&mut self) -> Result<(), DemoError> {
        self.hired += 1;
        let worker = server::isolated()?
            .arg("demo-worker")
            .arg("--segment-dir")
            .arg(&self.segments)
            .arg("--ledger")
            .arg(self.ledgers.join(self.hired.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .map_err(DemoError::Start)?;
        self.workers.push(worker);
        Ok(())
    }

    /// Kills a worker drawn at random (SIGKILL) and puts a new one in its place.
    pub(crate) async fn kill_one(&mut self) -> Result<(), DemoError> {
        let victim = rand::random_range(0..self.workers.len());
        let mut worker = self.workers.swap_remove(victim);
        self.kills += 1;
        worker.kill().await.map_err(DemoError::Start)?;
        self.hire()
    }

    /// Ends all workers, every other one by SIGKILL, and waits for them.
    pub(crate) async fn dismiss(&mut self) -> Result<(), DemoError> {
        for (index, mut worker) in std::mem::take(&mut self.workers).into_iter().enumerate() {
            if index % 2 == 0 {
                server::terminate(&worker);
            } else {
                self.kills += 1;
                worker.start_kill().map_err(DemoError::Start)?;
            }
            // `wait` would close stdin first; the signal has to be what ends it.
            let input = worker.stdin.take();
            worker.wait().await.map_err(DemoError::Start)?;
            drop(input);
        }
        Ok(())
    }
}
