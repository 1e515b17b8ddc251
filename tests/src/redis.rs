//! A real Redis server on a free port.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{
    node::Node,
    process::{Process, free_port},
};

/// A Redis server in a directory of its own. Without settings it saves nothing by itself.
pub struct Redis {
    node: Node,
    directory: TempDir,
    settings: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Redis {
    /// Starts it and waits for its first answer.
    pub fn start() -> Result<Redis> {
        Redis::with(&[], &[])
    }

    /// As [`Redis::start`], with more settings (`--name value`) and environment variables.
    pub fn with(settings: &[&str], environment: &[(&str, &str)]) -> Result<Redis> {
        let directory = tempfile::tempdir()?;
        let settings: Vec<_> = settings.iter().map(|word| (*word).to_owned()).collect();
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment: Vec<_> = environment.iter().map(owned).collect();
        let node = Node::server("redis", free_port()?, directory.path(), &settings, &environment)?;
        Ok(Redis { node, directory, settings, environment })
    }

    /// `redis://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port())
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.node.port
    }

    /// Where it keeps its files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The server's process.
    pub fn process(&self) -> &Process {
        &self.node.process
    }

    /// Kills it by SIGKILL.
    pub fn kill(&mut self) -> Result<()> {
        self.node.process.signal(rustix::process::Signal::KILL)?;
        self.node.process.wait(Duration::from_secs(10))?;
        Ok(())
    }

    /// Starts it again after [`Redis::kill`], on the same port, with whatever files are in its directory.
    pub fn start_again(&mut self) -> Result<()> {
        let directory = self.directory.path();
        self.node = Node::server("redis", self.port(), directory, &self.settings, &self.environment)?;
        Ok(())
    }

    /// Runs one command with redis-cli.
    pub fn command(&self, words: &[&str]) -> Result<String> {
        self.node.command(words)
    }

    /// How many commands it has carried out since its start, those inside scripts included, by name.
    pub fn calls(&self) -> Result<Vec<(String, u64)>> {
        let report = self.command(&["INFO", "commandstats"])?;
        let calls = report.lines().filter_map(|line| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(':')?;
            let calls = rest.strip_prefix("calls=")?.split(',').next()?.parse().ok()?;
            Some((name.to_owned(), calls))
        });
        Ok(calls.collect())
    }

    /// All commands that it has carried out.
    pub fn calls_total(&self) -> Result<u64> {
        let calls = self.calls().context("commandstats")?;
        Ok(calls.iter().filter(|(name, _)| name != "info").map(|(_, calls)| calls).sum())
    }
}
