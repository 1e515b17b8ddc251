//! Any role of the `metrifold` binary as a process of its own.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context, Result};

use crate::process::{Process, binary, eventually};

/// A running `metrifold serve | agent | collector | exporter`.
pub struct Server {
    process: Process,
    url: String,
}

impl Server {
    /// Starts a role on a free port and reads the address back from its first line.
    pub fn start(name: &str, arguments: &[&str], directory: &Path) -> Result<Server> {
        let mut command = Command::new(binary()?);
        command.args(arguments).args(["--listen", "127.0.0.1:0"]);
        let process = Process::start(name, &mut command, directory)?;
        let url = eventually(&format!("{name} listens"), Duration::from_secs(20), || {
            let log = process.log();
            let line =
                log.lines().find_map(|line| line.split("listening on ").nth(1)).context("no address yet")?;
            Ok(line.split_whitespace().next().context("an empty address")?.to_owned())
        })?;
        Ok(Server { process, url })
    }

    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where Prometheus scrapes.
    pub fn metrics(&self) -> String {
        format!("{}/metrics", self.url)
    }

    /// The process, to signal it or read its log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
