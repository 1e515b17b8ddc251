//! Whose a file is: pids that are used again, pids of another namespace, and processes that nobody is asked for.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use metrifold_tests::{
    Ledger, Page, Process, Scrape, Watch, binary, children, contained, eventually, free_port, get, kill,
    python, repository, skip,
};
use rustix::process::Signal;
use tempfile::{TempDir, tempdir};

use super::{PATIENCE, site::Site};

/// Lives of a container over one directory.
const LIVES: u32 = 3;
/// Processes in each life, beside the one that forks them: more than a sidecar has threads.
const FORKS: u32 = 100;
/// What a container of these counts in one life.
const EVENTS_PER_LIFE: f64 = 1.0 + 2.0 * FORKS as f64;
/// Pids that are used again and again.
const PIDS: usize = 6;
/// One a second: in a few, a sidecar has looked at its files far more often than it takes to find that a process is dead.
const PASSES: &str = "metrifold_reaper_passes_total";
const NOT_CONTAINED: &str = "this system gives no pid and uts namespaces";
const CLEAN_UP: (&str, &str) = ("CLEANUP_DB_FILES", "true");

/// A container that holds application and sidecar, as the pid namespace of both: the program is started first, so that its
/// pids are about the same each time; the sidecar comes back whenever it dies, as with a supervisor.
struct Container {
    home: TempDir,
    listen: String,
    variables: Vec<(&'static str, &'static str)>,
}

/// A container that runs; whatever is in it dies with it.
struct Life(Process);

impl Container {
    /// The first word is the sidecar's program.
    const ENTRY: &str = "\"$@\" & while :; do \"$0\" serve --listen \"$LISTEN\"; done";

    /// `None` where there are no pid namespaces.
    fn new(variables: &[(&'static str, &'static str)]) -> Result<Option<Container>> {
        if contained("probe", "true".as_ref()).is_none() {
            skip(NOT_CONTAINED);
            return Ok(None);
        }
        let home = tempdir()?;
        std::fs::create_dir(home.path().join("ledger"))?;
        let listen = format!("127.0.0.1:{}", free_port()?);
        Ok(Some(Container { home, listen, variables: variables.to_vec() }))
    }

    fn start(&self, program: &[&str]) -> Result<Life> {
        let mut command = contained("container", "sh".as_ref()).context("it was possible a moment ago")?;
        command
            .args(["-c", Self::ENTRY])
            .arg(binary()?)
            .arg(python()?)
            .args(program)
            .current_dir(repository().join("tests/path"))
            .envs(self.variables.iter().copied())
            .env("LISTEN", &self.listen)
            .env("METRIFOLD_AGENT__SEGMENT_DIR", self.home.path().join("segments"))
            .env("PROMETHEUS_MULTIPROC_DIR", self.files())
            .env("LEDGER", self.home.path().join("ledger"))
            .env("PYTHONUNBUFFERED", "1");
        Ok(Life(Process::start("container", &mut command, self.home.path())?))
    }

    fn files(&self) -> PathBuf {
        self.home.path().join("files")
    }

    fn ledger(&self) -> Ledger {
        Ledger::new(&self.home.path().join("ledger"))
    }

    fn page(&self) -> String {
        format!("http://{}/metrics", self.listen)
    }

    fn own(&self, series: &str) -> Result<f64> {
        Ok(Scrape::parse(&get(&format!("http://{}/-/metrics", self.listen))?)?.value(series))
    }

    /// How many files of counters there are, whoever wrote them.
    fn counters(&self) -> Result<usize> {
        count(&self.files(), "counter_")
    }

    /// How many pids have been used, by the processes' own word.
    fn used(&self) -> Result<usize> {
        count(&self.home.path().join("ledger"), "used-")
    }

    /// Waits until as many files of counters are left as there are to be.
    fn wait_until_counters(&self, are_left: &dyn Fn(usize) -> bool) -> Result<()> {
        eventually("the files are those that are to be left", PATIENCE, || {
            let files = self.counters()?;
            ensure!(are_left(files), "{files} files of counters");
            Ok(())
        })
    }

    /// Waits until a series is exactly this.
    fn wait_until_shown(&self, series: &str, expected: f64) -> Result<()> {
        eventually(&format!("{series} is {expected}"), PATIENCE, || {
            let shown = Scrape::of(&self.page())?.value(series);
            ensure!(shown == expected, "it is {shown}");
            Ok(())
        })
    }
}

/// How many names in a directory begin so.
fn count(directory: &Path, prefix: &str) -> Result<usize> {
    let names = std::fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name()));
    let names = names.collect::<Result<Vec<_>>>()?;
    Ok(names.iter().filter(|name| name.to_string_lossy().starts_with(prefix)).count())
}

impl Life {
    /// Kills the sidecar in it, which comes back.
    fn kill_sidecar(&self) -> Result<()> {
        kill(child_called("metrifold", init_of(&self.0)?)?, Signal::KILL)
    }

    /// Kills everything in it, as an engine does in the end.
    fn end(mut self) -> Result<()> {
        self.0.signal(Signal::KILL)?;
        self.0.wait(PATIENCE)?;
        Ok(())
    }
}

/// Goal: a container that is started again over a directory that outlives it goes on exactly where it was, although its
/// processes have the pids of those before. Method: application and sidecar are killed as one, as soon as everything is
/// shown, so that the sidecar may be anywhere with the files of the dead.
fn start_container_again(
    variables: &[(&'static str, &'static str)],
    are_left: impl Fn(usize) -> bool,
) -> Result<()> {
    let Some(container) = Container::new(variables)? else { return Ok(()) };
    let page = Page::new(container.page());
    // The sidecar is killed with its container.
    let outage = page.outage();
    let watch = Watch::start(&[page]);
    for life in 1..=LIVES {
        let running = container.start(&["forks.py", &FORKS.to_string()])?;
        container.wait_until_shown("forks_events_total", f64::from(life) * EVENTS_PER_LIFE)?;
        // That of the former lives ends when somebody is seen in this one.
        container.wait_until_shown("forks_live", 1.0)?;
        if life < LIVES {
            running.end()?;
            continue;
        }
        container.wait_until_counters(&are_left)?;
        running.kill_sidecar()?;
        container.wait_until_shown("forks_events_total", f64::from(life) * EVENTS_PER_LIFE)?;
    }
    drop(outage);
    watch.finish(5)?;
    Ok(())
}

#[test]
fn a_container_with_the_same_pids_goes_on_in_the_files_that_were_kept() -> Result<()> {
    let processes = (LIVES * (FORKS + 1)) as usize;
    start_container_again(&[], |files| files > 1 && files < processes)
}

#[test]
fn a_container_with_the_same_pids_goes_on_while_files_are_cleaned_up() -> Result<()> {
    start_container_again(&[CLEAN_UP], |files| files == 1)
}

/// Goal: a sidecar that does not see an application's processes by the pids of their files, and finds others under these,
/// takes nobody for dead, removes nothing, and is exact. Method: lives of a container over one directory, each with the
/// pids of the one before; `next_life` ends one and begins another.
fn live_out_of_sight(url: &str, mut next_life: impl FnMut() -> Result<()>) -> Result<()> {
    let page = Page::new(format!("{url}/metrics"));
    // It may still be starting.
    let mut outage = Some(page.outage());
    let watch = Watch::start(&[page]);
    let own = |series: &str| -> Result<f64> {
        Ok(Scrape::parse(&get(&format!("{url}/-/metrics"))?)?.value(series))
    };
    for life in 1..=LIVES {
        next_life()?;
        let expected = f64::from(life) * EVENTS_PER_LIFE;
        eventually("everything is shown", PATIENCE, || {
            let shown = Scrape::of(&format!("{url}/metrics"))?.value("forks_events_total");
            ensure!(shown == expected, "{shown} of {expected}");
            Ok(())
        })?;
        drop(outage.take());
        let before = own(PASSES)?;
        eventually("the sidecar has looked", PATIENCE, || {
            ensure!(own(PASSES)? >= before + 3.0, "not often enough");
            Ok(())
        })?;
        let live = own("metrifold_multiproc_files{state=\"live\"}")?;
        // A counter and a gauge each.
        ensure!(live == 2.0 * f64::from(FORKS + 1), "{live} files are said to be alive");
    }
    watch.finish(5)?;
    Ok(())
}

/// A sidecar on a host, which is a container here so that the sidecar may look at every process of it. The application's
/// container is started again by its engine, whenever it dies.
#[test]
fn pids_of_a_container_are_not_those_of_the_host() -> Result<()> {
    /// The first word is the sidecar's program; the others are the engine's command.
    const HOST: &str = "for number in $(seq 120); do sleep 600 & done; \"$0\" serve --listen \"$LISTEN\" & \
                        while :; do \"$@\"; done";
    let (Some(mut host), Some(engine)) =
        (contained("host", "sh".as_ref()), contained("container", &python()?))
    else {
        skip(NOT_CONTAINED);
        return Ok(());
    };
    let home = tempdir()?;
    let listen = format!("127.0.0.1:{}", free_port()?);
    host.args(["-c", HOST])
        .arg(binary()?)
        .arg(engine.get_program())
        .args(engine.get_args())
        .args(["forks.py", &FORKS.to_string()])
        .current_dir(repository().join("tests/path"))
        .env("LISTEN", &listen)
        .env("METRIFOLD_AGENT__SEGMENT_DIR", home.path().join("segments"))
        .env("PROMETHEUS_MULTIPROC_DIR", home.path().join("files"))
        .envs([CLEAN_UP]);
    let host = Process::start("host", &mut host, home.path())?;
    let mut is_first = true;
    live_out_of_sight(&format!("http://{listen}"), || match std::mem::take(&mut is_first) {
        true => Ok(()),
        false => kill(child_called("unshare", init_of(&host)?)?, Signal::KILL),
    })
}

/// A sidecar in a container of its own, where the pids of the other are its own, its threads', or nobody's. It has every file
/// open itself.
#[test]
fn a_sidecar_in_a_container_of_its_own_does_not_take_itself_for_the_application() -> Result<()> {
    let Some(mut command) = contained("sidecar", &binary()?) else {
        skip(NOT_CONTAINED);
        return Ok(());
    };
    let home = tempdir()?;
    let listen = format!("127.0.0.1:{}", free_port()?);
    command
        .args(["serve", "--listen", &listen, "--segment-dir"])
        .arg(home.path().join("segments"))
        .env("PROMETHEUS_MULTIPROC_DIR", home.path().join("files"))
        .envs([CLEAN_UP]);
    let _sidecar = Process::start("sidecar", &mut command, home.path())?;
    let mut container = None;
    live_out_of_sight(&format!("http://{listen}"), || {
        drop(container.take());
        let mut command = contained("container", &python()?).context("it was possible a moment ago")?;
        command
            .args(["forks.py", &FORKS.to_string()])
            .current_dir(repository().join("tests/path"))
            .env("PROMETHEUS_MULTIPROC_DIR", home.path().join("files"));
        container = Some(Process::start("container", &mut command, home.path())?);
        Ok(())
    })
}

/// Goal: a process that opens the file of a dead one with its very pid loses nothing, whatever the sidecar is doing with the
/// file, and whatever it believes of the pid. Method: in a pid namespace, where a pid can be chosen, processes with the same
/// few pids come and are killed at random moments, and so is the sidecar.
fn use_pids_again(variables: &[(&'static str, &'static str)], are_kept: bool) -> Result<()> {
    let Some(container) = Container::new(variables)? else { return Ok(()) };
    if !can_choose_pids() {
        skip("this kernel lets nobody choose a pid");
        return Ok(());
    }
    let seed: u16 = rand::random();
    eprintln!("seed {seed}");
    let life = container.start(&["reopen.py", &PIDS.to_string(), "8", &seed.to_string(), "pids"])?;
    let page = Page::new(container.page());
    // The sidecar is killed now and then.
    let outage = page.outage();
    let watch = Watch::start(&[page]);
    for _ in 0..2 {
        eventually("files are done with", PATIENCE, || {
            let count = container.own("metrifold_multiproc_files_finished_total")?;
            ensure!(count >= 3.0, "{count}");
            Ok(())
        })?;
        life.kill_sidecar()?;
    }
    eventually("nobody comes any more", PATIENCE, || {
        ensure!(life.0.log().contains("the last one has ended"), "still somebody");
        Ok(())
    })?;
    let events = container.ledger().count("reopened")? as f64;
    ensure!(events >= 3.0 * 2.0 * PIDS as f64, "{events} events: hardly a pid was used again");
    // A process is killed after its last event was written, so not one is in doubt.
    container.wait_until_shown("reopened_total", events)?;
    let files_left = if are_kept { container.used()? } else { 0 };
    container.wait_until_counters(&|files| files == files_left)?;
    life.kill_sidecar()?;
    container.wait_until_shown("reopened_total", events)?;
    drop(outage);
    watch.finish(10)?;
    Ok(())
}

#[test]
fn a_pid_that_is_used_again_goes_on_in_the_file_that_was_kept() -> Result<()> {
    use_pids_again(&[], true)
}

#[test]
fn a_pid_that_is_used_again_while_its_file_is_removed_loses_nothing() -> Result<()> {
    use_pids_again(&[CLEAN_UP], false)
}

/// Pid 1 of a container, as it is seen from here.
fn init_of(container: &Process) -> Result<u32> {
    eventually("the container has begun", PATIENCE, || {
        children(container.pid())?.first().copied().context("nobody is in it")
    })
}

/// The child of a process with this name.
fn child_called(name: &str, parent: u32) -> Result<u32> {
    let is_it = |pid: &u32| {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name)
    };
    eventually(&format!("there is a child called {name}"), PATIENCE, || {
        children(parent)?.into_iter().find(is_it).context("not now")
    })
}

/// Whether the next pid of a pid namespace can be named in it, as is done to restore processes.
fn can_choose_pids() -> bool {
    let command = contained("probe", "sh".as_ref());
    let probe = |mut command: Command| {
        command.args(["-c", "echo 30000 > /proc/sys/kernel/ns_last_pid"]).stderr(Stdio::null()).status()
    };
    command.is_some_and(|command| probe(command).is_ok_and(|status| status.success()))
}

/// Goal: with `agent.liveness = off` a process lives until its files are removed, whatever became of it. Method: a process
/// is killed, and the sidecar given time to notice; then its end is said as prometheus_client's manual has it.
#[test]
fn without_liveness_only_the_removal_of_its_files_ends_a_process() -> Result<()> {
    let site = Site::start(&[("METRIFOLD_AGENT__LIVENESS", "off")])?;
    let mut process = site.forks(0)?;
    let shown = |live: Option<f64>| {
        let scrape = Scrape::of(&site.sidecar.metrics())?;
        let (gauge, total) = (scrape.samples.get("forks_live"), scrape.value("forks_events_total"));
        ensure!(gauge.copied() == live && total == 1.0, "{gauge:?} live, {total} counted");
        Ok(())
    };
    eventually("it is shown", PATIENCE, || shown(Some(1.0)))?;
    let pid = process.pid();
    process.signal(Signal::KILL)?;
    process.wait(PATIENCE)?;
    site.let_the_sidecar_look()?;
    shown(Some(1.0))?;
    ensure!(site.names_of(pid)?.len() == 2, "{:?}", site.names()?);

    let script =
        "import sys; from prometheus_client import multiprocess as m; m.mark_process_dead(int(sys.argv[1]))";
    let status = site.command("python", &["-c", script, &pid.to_string()])?.status()?;
    ensure!(status.success(), "mark_process_dead: {status}");
    eventually("its live gauge ends, and its totals stay", PATIENCE, || shown(None))?;
    ensure!(site.names_of(pid)? == [format!("counter_{pid}.db")], "{:?}", site.names()?);
    std::fs::remove_file(site.files().join(format!("counter_{pid}.db")))?;
    site.wait_until_own("metrifold_multiproc_files_finished_total", 2.0)?;
    shown(None)
}
