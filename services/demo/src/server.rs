//! The demo's server: a child `metrifold serve`.

use std::{net::SocketAddr, path::Path, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::DemoError;

/// What `serve` says when it is ready.
const READY: &str = "listening on http://";
/// Longest wait for that line.
const READY_TIMEOUT: Duration = Duration::from_secs(20);
/// Should the demo itself be killed, its server ends this long after the last worker.
const LINGER: &str = "60s";

/// A running server.
pub(crate) struct Server {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts it over a segment directory and waits until it is ready.
    pub(crate) async fn start(listen: &str, segments: &Path, log: &Path) -> Result<Server, DemoError> {
        let log_file = std::fs::File::create(log).map_err(DemoError::Files)?;
        let mut process = isolated()?
            .args(["serve", "--exit-when-idle", "--listen", listen, "--segment-dir"])
            .arg(segments)
            // Whatever the environment says: the demo shows its own workers.
            .args(["--multiproc-dir", ""])
            .env("METRIFOLD_AGENT__LINGER", LINGER)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log_file)
            .spawn()
            .map_err(DemoError::Start)?;
        let ready = match process.stdout.take() {
            Some(output) => tokio::time::timeout(READY_TIMEOUT, ready(BufReader::new(output).lines())).await,
            None => Ok(None),
        };
        match ready {
            Ok(Some(address)) => Ok(Server { process, address }),
            _ => Err(DemoError::NotReady(std::fs::read_to_string(log).unwrap_or_default())),
        }
    }

    /// Ends it in good order.
    pub(crate) async fn stop(mut self) -> std::io::Result<()> {
        terminate(&self.process);
        self.process.wait().await.map(drop)
    }
}

async fn ready<R>(mut lines: tokio::io::Lines<R>) -> Option<SocketAddr>
where
    R: tokio::io::AsyncBufRead + Unpin,
{
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(rest) = line.split(READY).nth(1) {
            return rest.split_whitespace().next()?.parse().ok();
        }
    }
    None
}

/// This binary again: in a process group of its own, so that a Ctrl-C reaches the demo only, and without settings from
/// the environment, which are not meant for the demo.
pub(crate) fn isolated() -> Result<Command, DemoError> {
    let mut command = Command::new(std::env::current_exe().map_err(DemoError::Start)?);
    let is_setting = |name: &str| {
        ["METRIFOLD_", "PROMETHEUS_", "REDIS_", "SIDECAR_"].iter().any(|prefix| name.starts_with(prefix))
    };
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_setting) {
            command.env_remove(name);
        }
    }
    command.process_group(0).kill_on_drop(true);
    Ok(command)
}

/// Sends SIGTERM, unless the process has ended already.
pub(crate) fn terminate(process: &Child) {
    let pid = process.id().and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed()));
    if let Some(pid) = pid {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}
