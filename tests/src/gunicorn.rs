//! A real gunicorn with real workers.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::{
    process::{Process, children, eventually, free_port, kill, python, repository},
    scrape::get,
};

/// How gunicorn is started.
pub struct GunicornSettings {
    /// Number of worker processes.
    pub workers: usize,
    /// Requests after which a worker ends by itself; 0 = never.
    pub max_requests: usize,
    /// Whether the application is loaded in the master.
    pub preload: bool,
    /// More environment variables.
    pub environment: Vec<(String, String)>,
}

/// gunicorn with `metrifold.gunicorn.PrometheusWorker` and the application in `tests/path/app.py`.
pub struct Gunicorn {
    process: Process,
    url: String,
    metrics_port: u16,
    segments: PathBuf,
}

impl Gunicorn {
    /// Starts it in `directory`, where its log, its segments and the application's ledger (`ledger/`) are.
    pub fn start(directory: &Path, settings: &GunicornSettings) -> Result<Gunicorn> {
        let (port, metrics_port) = (free_port()?, free_port()?);
        let ledger = directory.join("ledger");
        let segments = directory.join("segments");
        std::fs::create_dir_all(&ledger)?;
        let mut command = Command::new(python()?);
        command
            .args(["-m", "gunicorn", "--worker-class", "metrifold.gunicorn.PrometheusWorker"])
            .args(["--bind", &format!("127.0.0.1:{port}"), "--workers", &settings.workers.to_string()])
            .args(["--max-requests", &settings.max_requests.to_string(), "--graceful-timeout", "5"])
            .arg("--chdir")
            .arg(repository().join("tests/path"))
            .arg("app:app")
            .env("LEDGER", &ledger)
            // Also where the target is a remote one.
            .env("METRIFOLD_AGENT__SEGMENT_DIR", &segments)
            .env("PROMETHEUS_BIND_ADDRESS", "127.0.0.1")
            .env("PROMETHEUS_METRICS_PORT", metrics_port.to_string())
            .env("PYTHONUNBUFFERED", "1")
            .envs(settings.environment.iter().map(|(name, value)| (name, value)));
        if settings.preload {
            command.arg("--preload");
        }
        let process = Process::start("gunicorn", &mut command, directory)?;
        let gunicorn = Gunicorn { process, url: format!("http://127.0.0.1:{port}/"), metrics_port, segments };
        eventually("gunicorn has its workers", Duration::from_secs(30), || {
            get(&format!("{}idle", gunicorn.url))?;
            ensure!(gunicorn.workers()?.len() == settings.workers, "not all workers are there");
            Ok(())
        })?;
        Ok(gunicorn)
    }

    /// The application's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address of the server that the master started, for Prometheus.
    pub fn metrics(&self) -> String {
        format!("http://127.0.0.1:{}/metrics", self.metrics_port)
    }

    /// The pid of the server that holds the segments, as its lock file says.
    pub fn local_server(&self) -> Result<u32> {
        let lock = std::fs::read_to_string(self.segments.join("agent.lock"))?;
        lock.trim().parse().with_context(|| format!("no pid in {lock:?}"))
    }

    /// The master process.
    pub fn master(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Pids of the workers that run now.
    pub fn workers(&self) -> Result<Vec<u32>> {
        children(self.process.pid())
    }

    /// Kills one worker and waits until gunicorn has replaced it.
    pub fn kill_worker(&self) -> Result<()> {
        let before = self.workers()?;
        let victim = *before.first().context("no worker to kill")?;
        kill(victim, Signal::KILL)?;
        eventually("the killed worker is replaced", Duration::from_secs(20), || {
            let now = self.workers()?;
            ensure!(!now.contains(&victim) && now.len() >= before.len(), "workers: {now:?}");
            Ok(())
        })
    }

    /// Ends it as `systemctl stop` would, and waits.
    pub fn stop(&mut self) -> Result<()> {
        self.process.signal(Signal::TERM)?;
        self.process.wait(Duration::from_secs(20))?;
        Ok(())
    }
}
