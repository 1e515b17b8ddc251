//! Files that are many, removed, wiped or damaged, and a file system that is full.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use metrifold_tests::{
    Process, Scrape, Server, Watch, binary, eventually, free_port, get, python, repository,
};
use rustix::process::Signal;
use tempfile::tempdir;

use super::{PATIENCE, site::Site};

/// Goal: with clean-up, the directory does not grow with the processes that ever were. Method: 5,000 names of processes that
/// are gone, of which 100 are real pids, and a sidecar that is killed in between.
#[test]
fn a_directory_stays_bounded_after_five_thousand_pids() -> Result<()> {
    const NAMES: u32 = 4_900;
    const FORKS: u32 = 100;
    let mut site = Site::start(&[("CLEANUP_DB_FILES", "true")])?;
    let forks = site.forks(FORKS)?;
    let mut command = site.command("python", &["names.py", &NAMES.to_string()])?;
    let mut names = Process::start("names", &mut command, site.home.path())?;
    eventually("files are removed", PATIENCE, || {
        ensure!(site.own("metrifold_multiproc_files_removed_total")? > 0.0, "none yet");
        Ok(())
    })?;
    site.kill_sidecar()?;
    ensure!(names.wait(PATIENCE)?.success(), "{}", names.log());
    site.wait_until_cleaned_up(&[forks.pid()])?;
    let scrape = Scrape::of(&site.sidecar.metrics())?;
    let expected = f64::from(1 + 2 * FORKS + 2 * NAMES);
    ensure!(scrape.value("forks_events_total") == expected, "{:?}", scrape.samples);
    ensure!(scrape.value("forks_live") == 1.0, "{:?}", scrape.samples);
    Ok(())
}

/// Goal: a process that opens a file at the moment of its removal loses nothing. Method: names that are used again and again
/// by processes that open the file, hold it, and die at random moments, while the sidecar removes the files of the dead, and
/// is killed at times itself.
#[test]
fn a_file_that_is_opened_while_it_is_removed_loses_nothing() -> Result<()> {
    let mut site = Site::start(&[("CLEANUP_DB_FILES", "true")])?;
    // A process whose pid is its own, so that owners are seen at all.
    let lives = site.forks(1)?;
    let seed: u16 = rand::random();
    eprintln!("seed {seed}");
    let mut command = site.command("python", &["reopen.py", "8", "20", &seed.to_string()])?;
    let mut reopening = Process::start("reopen", &mut command, site.home.path())?;
    let watch = Watch::start(&[site.sidecar.page()]);
    for removed in [3.0, 3.0] {
        eventually("files are removed", PATIENCE, || {
            let count = site.own("metrifold_multiproc_files_removed_total")?;
            ensure!(count >= removed, "{count} removed");
            Ok(())
        })?;
        site.kill_sidecar()?;
    }
    reopening.wait(PATIENCE)?;
    let events = site.ledger().count("reopened")? as f64;
    let uses = events / 3.0;
    eventually("every event is there", PATIENCE, || {
        let shown = Scrape::of(&site.sidecar.metrics())?.value("reopened_total");
        // A process is killed after its last event was written, so not one is in doubt.
        ensure!(shown == events, "{shown} shown, {events} written by {uses} processes");
        Ok(())
    })?;
    site.wait_until_cleaned_up(&[lives.pid()])?;
    ensure!(
        Scrape::of(&site.sidecar.metrics())?.value("reopened_total") == events,
        "not after the last removal"
    );
    watch.finish(10)?;
    Ok(())
}

/// What prometheus_client's manual tells people to do before a start: `rm -rf DIR/*`, while the sidecar runs and while it
/// does not.
#[test]
fn a_directory_that_is_wiped_at_a_start_keeps_its_totals() -> Result<()> {
    let mut site = Site::start(&[])?;
    let mut expected = 0.0;
    let watch = Watch::start(&[site.sidecar.page()]);
    for is_running in [true, false, true] {
        let mut forks = site.forks(5)?;
        expected += 11.0;
        eventually("everything is shown", PATIENCE, || {
            let shown = Scrape::of(&site.sidecar.metrics())?.value("forks_events_total");
            ensure!(shown == expected, "{shown} of {expected}");
            Ok(())
        })?;
        if !is_running {
            site.sidecar.kill()?;
        }
        forks.signal(Signal::TERM)?;
        forks.wait(PATIENCE)?;
        for name in site.names()? {
            std::fs::remove_file(site.files().join(name))?;
        }
        if !is_running {
            site.sidecar.start_again()?;
        }
    }
    eventually("nothing of it is lost, and nobody lives", PATIENCE, || {
        let scrape = Scrape::of(&site.sidecar.metrics())?;
        let shown = scrape.value("forks_events_total");
        ensure!(shown == expected && scrape.value("forks_live") == 0.0, "{shown} of {expected}");
        Ok(())
    })?;
    site.kill_sidecar()?;
    let shown = Scrape::of(&site.sidecar.metrics())?.value("forks_events_total");
    ensure!(shown == expected, "{shown} of {expected} after a restart");
    watch.finish(5)?;
    Ok(())
}

/// Damaged files are left out, named and counted; the rest is served, and so are they when they are whole.
#[test]
fn a_damaged_file_costs_only_itself() -> Result<()> {
    let site = Site::start(&[])?;
    let _forks = site.forks(2)?;
    eventually("the files are there", PATIENCE, || {
        ensure!(site.names()?.len() == 6, "not yet");
        Ok(())
    })?;
    let whole = site.names()?.into_iter().find(|name| name.starts_with("counter_")).context("no counter")?;
    let bytes = std::fs::read(site.files().join(whole))?;
    let damaged = site.files().join("counter_4190100.db");
    std::fs::write(&damaged, &bytes[..24])?;
    eventually("it is named and counted", PATIENCE, || {
        ensure!(site.sidecar.log().contains("counter_4190100.db"), "not named");
        ensure!(site.own("metrifold_multiproc_files{state=\"corrupt\"}")? == 1.0, "not counted");
        let shown = Scrape::of(&site.sidecar.metrics())?.value("forks_events_total");
        ensure!(shown == 5.0, "{shown}");
        Ok(())
    })?;
    std::fs::write(&damaged, &bytes)?;
    eventually("it is served once it is whole", PATIENCE, || {
        let shown = Scrape::of(&site.sidecar.metrics())?.value("forks_events_total");
        ensure!(shown > 5.0, "{shown}");
        Ok(())
    })
}

/// Goal: a full file system under ledger and data directory stops nobody and costs nothing. Method: the sidecar's hidden
/// folder lies on a small file system of its own, which is filled and emptied again. (A full file system under the files
/// themselves kills their processes by SIGBUS: prometheus_client's affair, and a reason to use our value class.)
#[test]
fn a_full_file_system_under_the_ledger_loses_nothing() -> Result<()> {
    let home = tempdir()?;
    let files = home.path().join("files");
    std::fs::create_dir_all(files.join(".metrifold"))?;
    let Some(mut command) = with_small_folder(&files.join(".metrifold"), &binary()?) else {
        metrifold_tests::skip("this system allows no mounts to an ordinary user");
        return Ok(());
    };
    let port = free_port()?;
    let url = format!("http://127.0.0.1:{port}");
    command
        .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--multiproc-dir"])
        .arg(&files)
        .arg("--segment-dir")
        .arg(home.path().join("segments"));
    let sidecar = Process::start("sidecar", &mut command, home.path())?;
    let start = |forks: &str| -> Result<Process> {
        let mut command = Command::new(python()?);
        command.args(["forks.py", forks]).current_dir(repository().join("tests/path"));
        Process::start("forks", command.env("PROMETHEUS_MULTIPROC_DIR", &files), home.path())
    };
    let shown = |series: &str, expected: f64| {
        eventually("everything is shown", PATIENCE, || {
            let value = Scrape::of(&format!("{url}/metrics"))?.value(series);
            ensure!(value == expected, "{series} is {value} and not {expected}");
            Ok(())
        })
    };
    let first = start("3")?;
    shown("forks_events_total", 7.0)?;
    let filler =
        PathBuf::from(format!("/proc/{}/root{}", sidecar.pid(), files.display())).join(".metrifold/filler");
    let mut file = std::fs::File::create(&filler)?;
    while std::io::Write::write(&mut file, &[0; 512]).is_ok() {}
    drop(file);
    // It dies now, and its last values are to be shown although nothing can be written of it.
    drop(first);
    shown("forks_live", 0.0)?;
    shown("forks_events_total", 7.0)?;
    let second = start("2")?;
    eventually("it says so", PATIENCE, || {
        ensure!(sidecar.log().contains("the ledger cannot be written"), "not yet");
        let own = Scrape::parse(&get(&format!("{url}/-/metrics"))?)?;
        ensure!(own.value("metrifold_ledger_errors_total") > 0.0, "not counted");
        Ok(())
    })?;
    std::fs::remove_file(&filler)?;
    shown("forks_events_total", 12.0)?;
    drop(second);
    eventually("all of the dead are in the archive", PATIENCE, || {
        let own = Scrape::parse(&get(&format!("{url}/-/metrics"))?)?;
        let kept = own.value("metrifold_multiproc_files_finished_total");
        ensure!(kept == 14.0, "{kept}");
        Ok(())
    })?;
    shown("forks_events_total", 12.0)
}

/// A command that sees `folder` as a file system of its own of two megabytes. `None` where that takes more rights.
fn with_small_folder(folder: &std::path::Path, program: &std::path::Path) -> Option<Command> {
    let namespaces = ["--user", "--map-root-user", "--mount"];
    let script = "mount -t tmpfs -o size=2m tmpfs \"$0\" && exec \"$@\"";
    let command = || {
        let mut command = Command::new("unshare");
        command.args(namespaces).args(["sh", "-c", script]).arg(folder);
        command
    };
    let probe = command().arg("true").stderr(std::process::Stdio::null()).status();
    probe.is_ok_and(|status| status.success()).then(|| {
        let mut command = command();
        command.arg(program);
        command
    })
}

/// The metrics that the guide's sidecar has of itself stand among those of the workers, and the ordinary ones do not.
#[test]
fn a_sidecar_by_the_guides_variables_shows_its_metrics() -> Result<()> {
    let directory = tempdir()?;
    let (files, segments) = (directory.path().join("files"), directory.path().join("segments"));
    let environment = [
        ("SIDECAR_MODE", "true"),
        ("PROMETHEUS_MULTIPROC_DIR", &*files.to_string_lossy()),
        ("METRIFOLD_AGENT__SEGMENT_DIR", &*segments.to_string_lossy()),
    ];
    let sidecar = Server::with("sidecar", &["serve"], &environment, directory.path())?;
    eventually("its store is tended", PATIENCE, || {
        let shown = Scrape::of(&sidecar.metrics())?;
        ensure!(shown.value("gunicorn_sidecar_redis_connected") == 1.0, "{shown:?}");
        ensure!(shown.value("gunicorn_sidecar_uptime_seconds") > 0.0, "{shown:?}");
        for name in ["gunicorn_sidecar_multiproc_dir_size_bytes", "gunicorn_sidecar_multiproc_files_count"] {
            ensure!(shown.samples.get(name) == Some(&0.0), "{name}: {shown:?}");
        }
        ensure!(shown.starting("metrifold_").chain(shown.starting("process_")).count() == 0, "{shown:?}");
        Ok(())
    })?;
    let own = Scrape::parse(&get(&sidecar.own_metrics())?)?;
    ensure!(own.starting("metrifold_build_info{version=").count() == 1, "{own:?}");
    Ok(())
}
