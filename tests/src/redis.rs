//! A real Redis server on a free port.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::process::{Process, eventually, free_port};

/// A Redis server in a directory of its own. Without settings it saves nothing by itself.
pub struct Redis {
    process: Process,
    port: u16,
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
        let port = free_port()?;
        let settings: Vec<_> = settings.iter().map(|word| (*word).to_owned()).collect();
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment: Vec<_> = environment.iter().map(owned).collect();
        let process = spawn(port, directory.path(), &settings, &environment)?;
        let redis = Redis { process, port, directory, settings, environment };
        redis.wait()?;
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

    /// Where it keeps its files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The server's process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Kills it by SIGKILL.
    pub fn kill(&mut self) -> Result<()> {
        self.process.signal(rustix::process::Signal::KILL)?;
        self.process.wait(Duration::from_secs(10))?;
        Ok(())
    }

    /// Starts it again after [`Redis::kill`], on the same port, with whatever files are in its directory.
    pub fn start_again(&mut self) -> Result<()> {
        self.process = spawn(self.port, self.directory.path(), &self.settings, &self.environment)?;
        self.wait()
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

    fn wait(&self) -> Result<()> {
        eventually("Redis answers", Duration::from_secs(20), || {
            // Not somebody else's, who took the port in between.
            let wanted = format!("process_id:{}", self.process.pid());
            ensure!(self.command(&["INFO", "server"])?.lines().any(|line| line == wanted), "another Redis");
            Ok(())
        })
    }
}

fn spawn(
    port: u16,
    directory: &Path,
    settings: &[String],
    environment: &[(String, String)],
) -> Result<Process> {
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    command.arg("--dir").arg(directory).args(settings);
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    Process::start("redis", &mut command, directory)
}
