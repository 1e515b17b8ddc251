//! A multiprocess directory with a sidecar.

use std::{path::PathBuf, process::Command};

use anyhow::{Result, ensure};
use metrifold_tests::{Ledger, Process, Scrape, Server, eventually, get, python, repository};
use tempfile::{TempDir, tempdir};

use super::PATIENCE;

/// Passes of the sidecar's reaper, one a second, in which it has looked at its files far more often than it takes to find
/// that a process is dead.
const PASSES: f64 = 3.0;

/// A multiprocess directory, an application's ledger, and a sidecar.
pub(super) struct Site {
    pub(super) home: TempDir,
    pub(super) sidecar: Server,
}

impl Site {
    /// Starts the sidecar with nothing but the directory to know.
    pub(super) fn start(variables: &[(&str, &str)]) -> Result<Site> {
        Site::serve(&[], variables)
    }

    /// As [`Site::start`], with more arguments.
    pub(super) fn serve(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Site> {
        let home = tempdir()?;
        let directory = home.path().join("files").display().to_string();
        let variables = [&[("PROMETHEUS_MULTIPROC_DIR", directory.as_str())], variables].concat();
        Site::with(home, &[&["serve"], arguments].concat(), &variables)
    }

    /// Starts an agent that is told of the directory on its command line, and pushes to `target`.
    pub(super) fn agent(target: &str, variables: &[(&str, &str)]) -> Result<Site> {
        let home = tempdir()?;
        let directory = home.path().join("files").display().to_string();
        Site::with(home, &["agent", "--multiproc-dir", &directory, "--to", target], variables)
    }

    fn with(home: TempDir, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Site> {
        std::fs::create_dir(home.path().join("ledger"))?;
        let segments = home.path().join("segments").display().to_string();
        let arguments = [arguments, &["--segment-dir", &segments]].concat();
        let sidecar = Server::with("sidecar", &arguments, variables, home.path())?;
        Ok(Site { home, sidecar })
    }

    pub(super) fn files(&self) -> PathBuf {
        self.home.path().join("files")
    }

    pub(super) fn ledger(&self) -> Ledger {
        Ledger::new(&self.home.path().join("ledger"))
    }

    /// Names of prometheus_client's files that are there now.
    pub(super) fn names(&self) -> Result<Vec<String>> {
        let entries = std::fs::read_dir(self.files())?;
        let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.filter(|name| name.as_ref().map_or(true, |name| name.ends_with(".db"))).collect()
    }

    /// Names of the files of one process.
    pub(super) fn names_of(&self, pid: u32) -> Result<Vec<String>> {
        let end = format!("_{pid}.db");
        Ok(self.names()?.into_iter().filter(|name| name.ends_with(&end)).collect())
    }

    /// Waits until only files of these processes are left, in the directory and on their way out of it.
    pub(super) fn wait_until_cleaned_up(&self, live: &[u32]) -> Result<()> {
        eventually("only the files of who lives are left", PATIENCE, || {
            let mut of_the_dead = self.names()?;
            for pid in live {
                ensure!(!self.names_of(*pid)?.is_empty(), "{pid} lives and has no file");
                of_the_dead.retain(|name| !name.ends_with(&format!("_{pid}.db")));
            }
            ensure!(of_the_dead.is_empty(), "{of_the_dead:?}");
            let leaving = std::fs::read_dir(self.files().join(".metrifold/leaving"))?.count();
            ensure!(leaving == 0, "{leaving} files are leaving");
            Ok(())
        })
    }

    /// A program of this folder, or of the environment, as an application of the site.
    pub(super) fn command(&self, program: &str, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(python()?.with_file_name(program));
        command
            .args(arguments)
            .current_dir(repository().join("tests/path"))
            .env("PROMETHEUS_MULTIPROC_DIR", self.files())
            .env("LEDGER", self.home.path().join("ledger"))
            .env("PYTHONUNBUFFERED", "1");
        Ok(command)
    }

    /// A process that lives until it is told otherwise, after it has forked so many that do not.
    pub(super) fn forks(&self, count: u32) -> Result<Process> {
        let mut command = self.command("python", &["forks.py", &count.to_string()])?;
        Process::start("forks", &mut command, self.home.path())
    }

    /// What the sidecar says of itself.
    pub(super) fn own(&self, series: &str) -> Result<f64> {
        Ok(Scrape::parse(&get(&self.sidecar.own_metrics())?)?.value(series))
    }

    /// Waits until the sidecar says at least so much of itself.
    pub(super) fn wait_until_own(&self, series: &str, least: f64) -> Result<()> {
        eventually(&format!("{series} is {least}"), PATIENCE, || {
            let value = self.own(series)?;
            ensure!(value >= least, "it is {value}");
            Ok(())
        })
    }

    /// Waits until the sidecar has looked so often that whoever it takes for dead is.
    pub(super) fn let_the_sidecar_look(&self) -> Result<()> {
        let before = self.own("metrifold_reaper_passes_total")?;
        self.wait_until_own("metrifold_reaper_passes_total", before + PASSES)
    }

    pub(super) fn kill_sidecar(&mut self) -> Result<()> {
        self.sidecar.kill()?;
        self.sidecar.start_again()
    }

    /// A plain reader of the directory, and we, once all is quiet: the same totals.
    pub(super) fn assert_same_as_prometheus_client(&self) -> Result<()> {
        let output = self.command("python", &["collect.py"])?.output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let theirs = Scrape::parse(std::str::from_utf8(&output.stdout)?)?;
        ensure!(theirs.monotone().count() > 5, "nothing to compare");
        eventually("both show the same totals", PATIENCE, || {
            let ours = Scrape::of(&self.sidecar.metrics())?;
            for (series, value) in theirs.monotone() {
                // Both are sums of the same numbers; prometheus_client adds them in the order of the directory.
                let shown = ours.value(series);
                ensure!((shown - value).abs() <= value.abs() * 1e-12, "{series}: {shown} and {value}");
            }
            ensure!(ours.monotone().count() == theirs.monotone().count(), "not the same series");
            Ok(())
        })
    }
}
