//! One redis-server process: a server of its own, a node of a Cluster, a replica, a sentinel.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Result, ensure};

use crate::process::{Process, eventually};

/// A running process and its port on 127.0.0.1.
pub(crate) struct Node {
    pub(crate) process: Process,
    pub(crate) port: u16,
}

impl Node {
    /// A server that saves nothing by itself, in `directory`; `settings` are `--name value`.
    pub(crate) fn server<S: AsRef<str>>(
        name: &str,
        port: u16,
        directory: &Path,
        settings: &[S],
        environment: &[(String, String)],
    ) -> Result<Node> {
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
        command.arg("--dir").arg(directory).args(settings.iter().map(AsRef::as_ref));
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        Node::start(name, port, directory, &mut command)
    }

    /// Starts `command`, which listens on `port`, and waits for its first answer.
    pub(crate) fn start(name: &str, port: u16, directory: &Path, command: &mut Command) -> Result<Node> {
        let node = Node { process: Process::start(name, command, directory)?, port };
        eventually("Redis answers", Duration::from_secs(60), || {
            // Not somebody else's, who took the port in between.
            let wanted = format!("process_id:{}", node.process.pid());
            ensure!(node.command(&["INFO", "server"])?.lines().any(|line| line == wanted), "another Redis");
            Ok(())
        })?;
        Ok(node)
    }

    /// Runs one command with redis-cli.
    pub(crate) fn command(&self, words: &[&str]) -> Result<String> {
        let output = Command::new("redis-cli").args(["-p", &self.port.to_string()]).args(words).output()?;
        ensure!(output.status.success(), "redis-cli fails: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }
}
