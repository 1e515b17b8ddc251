//! An application with several processes, as people run it.

use anyhow::{Context, Result, ensure};
use metrifold_tests::{
    Ledger, Load, Page, Process, Scrape, Watch, children, eventually, free_port, get, kill,
};
use rustix::process::Signal;

use super::{PATIENCE, site::Site};
use crate::truth::assert_exact;

/// Kills of workers under load; after each second one the servers are killed too.
pub(super) const KILLS: u64 = 4;
const REQUESTS_PER_KILL: u64 = 300;
const WORKERS: usize = 3;

/// A master process with workers that answer requests.
pub(super) struct Application {
    master: Process,
    pub(super) url: String,
}

impl Application {
    pub(super) fn start(
        site: &Site,
        name: &str,
        program: &str,
        arguments: &[&str],
        bind: &str,
    ) -> Result<Application> {
        let address = format!("127.0.0.1:{}", free_port()?);
        let mut command = site.command(program, arguments)?;
        command.args([bind, &address]);
        let master = Process::start(name, &mut command, site.home.path())?;
        let application = Application { master, url: format!("http://{address}/") };
        application.wait_until_it_answers()?;
        Ok(application)
    }

    pub(super) fn gunicorn(site: &Site, module: &str) -> Result<Application> {
        let arguments = ["-m", "gunicorn", "--workers", "3", "--graceful-timeout", "5", module];
        Application::start(site, "gunicorn", "python", &arguments, "--bind")
    }

    fn wait_until_it_answers(&self) -> Result<()> {
        eventually("the application answers", PATIENCE, || {
            get(&format!("{}idle", self.url))?;
            ensure!(self.workers()?.len() == WORKERS, "not all workers are there");
            Ok(())
        })
    }

    pub(super) fn workers(&self) -> Result<Vec<u32>> {
        children(self.master.pid())
    }

    pub(super) fn kill_worker(&self) -> Result<()> {
        let before = self.workers()?;
        let victim = *before.first().context("no worker to kill")?;
        kill(victim, Signal::KILL)?;
        eventually("the killed worker is replaced", PATIENCE, || {
            let now = self.workers()?;
            ensure!(!now.contains(&victim) && now.len() >= before.len(), "workers: {now:?}");
            Ok(())
        })
    }

    /// Requests, with kills of workers and of the sidecar in between; what is shown may never go down.
    pub(super) fn drive(&self, site: &mut Site) -> Result<()> {
        let (pages, ledger) = ([site.sidecar.metrics()], site.ledger());
        self.drive_through(&pages, &ledger, || site.kill_sidecar())
    }

    /// Requests, with kills of workers and of all servers on the way in between. Every page shows the whole truth in the end,
    /// and may never go down.
    pub(super) fn drive_through(
        &self,
        pages: &[String],
        ledger: &Ledger,
        mut kill_servers: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        // They may be views of different stores, so each is held to its own past.
        let watched: Vec<_> = pages.iter().map(Page::new).collect();
        // Their servers are killed, whichever there are, and come back.
        let outages: Vec<_> = watched.iter().map(Page::outage).collect();
        let watches: Vec<_> = watched.iter().map(|page| Watch::start(std::slice::from_ref(page))).collect();
        let load = Load::start(&self.url, 3);
        for number in 1..=KILLS {
            wait_until_answered(&load, number * REQUESTS_PER_KILL)?;
            self.kill_worker()?;
            if number % 2 == 0 {
                wait_until_shown(pages, number * REQUESTS_PER_KILL)?;
                kill_servers()?;
            }
        }
        load.finish();
        for page in pages {
            assert_exact(page, ledger, KILLS)?;
        }
        drop(outages);
        watches.into_iter().try_for_each(|watch| watch.finish(10).map(drop))
    }

    /// gunicorn's reload: other workers come, and these finish what they are at and end.
    pub(super) fn reload(&self) -> Result<()> {
        let before = self.workers()?;
        self.master.signal(Signal::HUP)?;
        eventually("all workers are others", PATIENCE, || {
            let now = self.workers()?;
            let is_new = now.iter().all(|worker| !before.contains(worker));
            ensure!(is_new && now.len() == WORKERS, "{now:?} after {before:?}");
            Ok(())
        })?;
        self.wait_until_it_answers()
    }

    /// Ends at once.
    pub(super) fn stop(self) -> Result<()> {
        self.end_by(Signal::INT)
    }

    /// Ends when every worker has finished what it is at.
    pub(super) fn stop_gracefully(self) -> Result<()> {
        self.end_by(Signal::TERM)
    }

    fn end_by(mut self, signal: Signal) -> Result<()> {
        self.master.signal(signal)?;
        self.master.wait(PATIENCE)?;
        Ok(())
    }
}

/// Waits until so many requests are shown on every page: a server that has pushed nothing has nothing to count twice.
fn wait_until_shown(pages: &[String], count: u64) -> Result<()> {
    pages.iter().try_for_each(|page| {
        eventually("the requests are shown", PATIENCE, || {
            let shown = Scrape::of(page)?.value("app_requests_total");
            ensure!(shown >= count as f64, "{shown} of {count} at {page}");
            Ok(())
        })
    })
}

/// Waits until so many requests were answered.
pub(super) fn wait_until_answered(load: &Load, count: u64) -> Result<()> {
    eventually("requests are answered", PATIENCE, || {
        let answered = load.answered();
        ensure!(answered >= count, "{answered} of {count} answered");
        Ok(())
    })
}
