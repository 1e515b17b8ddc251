//! A real Redis server on a free port.

use std::{process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::process::{Process, eventually, free_port};

/// A Redis server without persistence.
pub struct Redis {
    process: Process,
    port: u16,
    _directory: TempDir,
}

impl Redis {
    /// Starts it and waits for its first answer.
    pub fn start() -> Result<Redis> {
        let directory = tempfile::tempdir()?;
        let port = free_port()?;
        let mut command = Command::new("redis-server");
        command.args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        command.arg("--dir").arg(directory.path());
        let process = Process::start("redis", &mut command, directory.path())?;
        let redis = Redis { process, port, _directory: directory };
        eventually("Redis answers", Duration::from_secs(10), || {
            let answer = redis.command(&["PING"])?;
            ensure!(answer.trim() == "PONG", "Redis says {answer}");
            Ok(())
        })?;
        Ok(redis)
    }

    /// `redis://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Runs one command with redis-cli.
    pub fn command(&self, words: &[&str]) -> Result<String> {
        let output = Command::new("redis-cli").args(["-p", &self.port.to_string()]).args(words).output()?;
        ensure!(output.status.success(), "redis-cli fails: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
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
