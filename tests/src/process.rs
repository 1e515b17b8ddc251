//! Child processes that end with their guard, and the few things every suite needs of the system.

use std::{
    fs::File,
    io::Write,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// As [`eventually`], within a tokio runtime, for at most twenty seconds.
pub async fn eventually_async<T, F: Future<Output = Result<T>>>(mut attempt: impl FnMut() -> F) -> Result<T> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() > deadline => bail!("not in time: {error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Says that a test, or a part of it, cannot be run here; the end of `make test` lists all that was said. What
/// `tests/install.sh` installs is never a reason.
pub fn skip(reason: &str) {
    let name = thread::current().name().unwrap_or("a test").to_owned();
    eprintln!("skipped: {reason}");
    let list = File::options().create(true).append(true).open(repository().join("target/skipped.txt"));
    // One write, so that tests which run side by side keep their lines apart. A list that cannot be written is no failure.
    let _ = list.and_then(|mut list| list.write_all(format!("{name}: {reason}\n").as_bytes()));
}

/// A child process with its output in a file; killed when dropped.
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; standard output and error go to `<directory>/<name>.log`.
    pub fn start(name: &str, command: &mut Command, directory: &Path) -> Result<Process> {
        let log = directory.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("{name} does not start: {command:?}"))?;
        Ok(Process { child, name: name.to_owned(), log })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has written so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.pid(), signal)
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end.
    pub fn wait(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let name = self.name.clone();
        eventually(&format!("{name} ends"), timeout, || {
            self.child.try_wait()?.with_context(|| format!("{name} still runs"))
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("---- {} ----\n{}", self.name, self.log());
        }
    }
}

/// Sends a signal to a process.
pub fn kill(pid: u32, signal: Signal) -> Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("not a pid")?;
    Ok(kill_process(pid, signal)?)
}

/// The processes that a process has started and that are not waited for yet.
pub fn children(pid: u32) -> Result<Vec<u32>> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let children = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    children.split_whitespace().map(|pid| pid.parse().context(path.clone())).collect()
}

/// Repeats `attempt` until it succeeds; after `timeout`, its last error.
pub fn eventually<T>(what: &str, timeout: Duration, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + timeout;
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() >= deadline => {
                return Err(error.context(format!("not within {timeout:?}: {what}")));
            }
            Err(_) => thread::park_timeout(Duration::from_millis(20)),
        }
    }
}

/// A port that was free a moment ago, for programs that cannot report one of their own choice.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository").to_owned()
}

/// The interpreter of the environment that `make venv` builds, with the wheel in it.
pub fn python() -> Result<PathBuf> {
    let venv =
        std::env::var_os("METRIFOLD_VENV").map_or_else(|| repository().join("target/venv"), PathBuf::from);
    let python = venv.join("bin/python");
    ensure!(python.exists(), "{} is missing; run `make venv` first", python.display());
    Ok(python)
}

/// The folder that cargo built this test into, where the workspace's binaries are too.
fn build_folder() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    Ok(test.parent().and_then(Path::parent).context("a test lies in target/<profile>/deps")?.to_owned())
}

/// The `metrifold` binary of this build (or `METRIFOLD_BINARY`).
pub fn binary() -> Result<PathBuf> {
    let path = match std::env::var_os("METRIFOLD_BINARY") {
        Some(path) => PathBuf::from(path),
        None => build_folder()?.join("metrifold"),
    };
    ensure!(
        path.exists(),
        "{} is missing; run `cargo build --workspace --all-targets` first",
        path.display()
    );
    Ok(path)
}

/// An example program of the Rust client, built with the workspace.
pub fn rust_example(name: &str) -> Result<PathBuf> {
    let path = build_folder()?.join("examples").join(name);
    if !path.exists() {
        bail!("{} is missing; run `cargo build --workspace --all-targets` first", path.display());
    }
    Ok(path)
}
