//! A Rust worker that pushes for itself, and the ledger that it keeps outside Metrifold.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Result, ensure};
use metrifold_tests::{Process, eventually, rust_example, worker_words};
use rustix::process::Signal;

pub(crate) struct Worker {
    pub(crate) process: Process,
    ledger: PathBuf,
}

impl Worker {
    /// Starts one that counts so many events a second.
    pub(crate) fn start(
        name: &str,
        target: &str,
        rate: u32,
        variables: &[(&str, &str)],
        directory: &Path,
    ) -> Result<Worker> {
        let ledger = directory.join(format!("{name}.ledger"));
        let mut command = Command::new(rust_example("worker")?);
        command.args(["--target", target, "--rate", &rate.to_string(), "--flush-every", "100ms"]);
        command.arg("--ledger").arg(&ledger).envs(variables.iter().copied());
        let process = Process::start(name, &mut command, directory)?;
        Ok(Worker { process, ledger })
    }

    /// The worker, when more than `least` of its events are acknowledged.
    pub(crate) fn acknowledged(self, least: u64, patience: Duration) -> Result<Worker> {
        eventually("the worker's pushes are acknowledged", patience, || {
            ensure!(self.words()?[2] > least, "too few yet: {}", self.process.log());
            Ok(())
        })?;
        Ok(self)
    }

    /// Started, finished, acknowledged.
    pub(crate) fn words(&self) -> Result<[u64; 3]> {
        worker_words(&self.ledger)
    }

    /// Sends a signal and waits for the end.
    pub(crate) fn end(&mut self, signal: Signal, patience: Duration) -> Result<()> {
        self.process.signal(signal)?;
        self.process.wait(patience).map(drop)
    }
}
