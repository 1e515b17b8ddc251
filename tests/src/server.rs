//! Any role of the `metrifold` binary as a process of its own.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::process::Signal;

use crate::{
    Outage, Page, Scrape, get,
    process::{Process, binary, eventually},
};

/// A running `metrifold serve | agent | collector | exporter`.
pub struct Server {
    process: Process,
    url: String,
    page: Page,
    /// From a kill until it listens again.
    outage: Option<Outage>,
    name: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    directory: PathBuf,
    starts: usize,
}

impl Server {
    /// Starts a role on a free port and reads the address back from its first line.
    pub fn start(name: &str, arguments: &[&str], directory: &Path) -> Result<Server> {
        Server::with(name, arguments, &[], directory)
    }

    /// As [`Server::start`], with more environment variables.
    pub fn with(
        name: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
        directory: &Path,
    ) -> Result<Server> {
        Server::on("127.0.0.1", name, arguments, environment, directory)
    }

    /// As [`Server::with`], bound to an address.
    pub fn on(
        host: &str,
        name: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
        directory: &Path,
    ) -> Result<Server> {
        let arguments: Vec<_> = arguments.iter().map(|word| (*word).to_owned()).collect();
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment: Vec<_> = environment.iter().map(owned).collect();
        let process = spawn(name, &arguments, &environment, directory, &format!("{host}:0"))?;
        let url = listening(name, &process)?;
        let page = Page::new(format!("{url}/metrics"));
        let (name, directory) = (name.to_owned(), directory.to_owned());
        Ok(Server { process, url, page, outage: None, name, arguments, environment, directory, starts: 1 })
    }

    /// Kills it by SIGKILL.
    pub fn kill(&mut self) -> Result<()> {
        self.outage = Some(self.page.outage());
        self.process.signal(Signal::KILL)?;
        self.process.wait(Duration::from_secs(10))?;
        Ok(())
    }

    /// Starts it again after [`Server::kill`], on the same port.
    pub fn start_again(&mut self) -> Result<()> {
        let name = format!("{}-{}", self.name, self.starts);
        self.starts += 1;
        let listen = self.url.trim_start_matches("http://").to_owned();
        // The port may be held for a moment by a connection of the former process.
        eventually(&format!("{name} starts on {listen}"), Duration::from_secs(30), || {
            let process = spawn(&name, &self.arguments, &self.environment, &self.directory, &listen)?;
            listening(&name, &process)?;
            self.process = process;
            self.outage = None;
            Ok(())
        })
    }

    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its port.
    pub fn port(&self) -> Result<u16> {
        let port = self.url.rsplit(':').next().context("an address has a port")?;
        Ok(port.parse()?)
    }

    /// Where Prometheus scrapes.
    pub fn metrics(&self) -> String {
        self.page.url().to_owned()
    }

    /// The same, which knows when the server is killed.
    pub fn page(&self) -> Page {
        self.page.clone()
    }

    /// Whether it was killed and not started again.
    pub fn is_killed(&self) -> bool {
        self.outage.is_some()
    }

    /// What it says of itself.
    pub fn own_metrics(&self) -> String {
        format!("{}/-/metrics", self.url)
    }

    /// How many sources are `live`, `dead` or `folded`, as an exporter says after a scrape.
    pub fn sources(&self, state: &str) -> Result<f64> {
        Scrape::of(&self.metrics())?;
        let own = Scrape::parse(&get(&self.own_metrics())?)?;
        let mut found = own.starting("metrifold_sources{");
        let found = found.find(|(series, _)| series.contains(&format!("state=\"{state}\"")));
        found.map(|(_, value)| value).context("no such state")
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The process, to signal it.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn spawn(
    name: &str,
    arguments: &[String],
    environment: &[(String, String)],
    directory: &Path,
    listen: &str,
) -> Result<Process> {
    let mut command = Command::new(binary()?);
    command.args(arguments).args(["--listen", listen]);
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    Process::start(name, &mut command, directory)
}

/// The address that a process says it listens on.
fn listening(name: &str, process: &Process) -> Result<String> {
    eventually(&format!("{name} listens"), Duration::from_secs(20), || {
        let log = process.log();
        let line =
            log.lines().find_map(|line| line.strip_prefix("listening on ")).context("no address yet")?;
        Ok(line.split_whitespace().next().context("an empty address")?.to_owned())
    })
}
