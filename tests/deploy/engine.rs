//! A container engine: one that runs already, or Docker's, started by hand.

use std::{
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use metrifold_tests::{Process, eventually, repository};
use tempfile::TempDir;

const START_TIMEOUT: Duration = Duration::from_secs(30);

/// An engine that answers.
pub(crate) struct Engine {
    /// `DOCKER_HOST`, if it is one of our own.
    host: Option<String>,
    own: Option<(Process, TempDir)>,
}

impl Engine {
    /// The engine that `docker` reaches, or a `dockerd` of our own that keeps its images in `target`. `Err` says why there
    /// is none.
    pub(crate) fn find() -> Result<Result<Engine, String>> {
        for program in ["docker", "docker-compose"] {
            if Command::new(program).arg("--version").output().is_err() {
                return Ok(Err(format!("{program} is not installed")));
            }
        }
        let reached = Engine { host: None, own: None };
        if reached.answers().is_ok() {
            return Ok(Ok(reached));
        }
        if Command::new("dockerd").arg("--version").output().is_err() {
            return Ok(Err("no container engine answers, and dockerd is not installed".into()));
        }
        if !rustix::process::geteuid().is_root() {
            return Ok(Err("no container engine answers, and only root may start dockerd".into()));
        }
        Engine::start()
    }

    fn start() -> Result<Result<Engine, String>> {
        let data = repository().join("target/stack/engine");
        std::fs::create_dir_all(&data)?;
        // A socket's path must be short.
        let directory = tempfile::tempdir()?;
        let host = format!("unix://{}/docker.sock", directory.path().display());
        let mut command = Command::new("dockerd");
        command.args(["--host", &host]).arg("--data-root").arg(&data);
        for (flag, name) in [("--exec-root", "exec"), ("--pidfile", "pid")] {
            command.arg(flag).arg(directory.path().join(name));
        }
        let mut process = Process::start("dockerd", &mut command, directory.path())?;
        let mut engine = Engine { host: Some(host), own: None };
        let answered = eventually("dockerd answers", START_TIMEOUT, || {
            // There is no use in waiting for one that has ended.
            if process.is_running() { engine.answers() } else { Ok(()) }
        });
        if answered.is_err() || !process.is_running() {
            return Ok(Err(format!("dockerd does not run here: {}", process.log())));
        }
        engine.own = Some((process, directory));
        Ok(Ok(engine))
    }

    fn answers(&self) -> Result<()> {
        self.docker(&["version", "--format", "{{.Server.Version}}"]).map(drop)
    }

    /// A command that talks to this engine.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.current_dir(repository());
        if let Some(host) = &self.host {
            command.env("DOCKER_HOST", host);
        }
        command
    }

    /// What `docker` prints; its complaint if it fails.
    pub(crate) fn docker(&self, arguments: &[&str]) -> Result<String> {
        said(self.command("docker").args(arguments))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // In order, so that it unmounts what it has mounted.
        if let Some((process, _)) = &mut self.own {
            let _ = process.signal(rustix::process::Signal::TERM);
            let _ = process.wait(START_TIMEOUT);
        }
    }
}

/// What a command prints; its complaint if it fails.
pub(crate) fn said(command: &mut Command) -> Result<String> {
    let Output { status, stdout, stderr } =
        command.output().with_context(|| format!("{command:?} does not start"))?;
    ensure!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    Ok(String::from_utf8(stdout)?.trim().to_owned())
}
