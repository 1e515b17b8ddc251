//! An application that is reloaded, and stopped and started over the same directory, while the sidecar goes on.

use anyhow::Result;
use metrifold_tests::{Load, Watch};

use super::{
    application::{Application, wait_until_answered},
    site::Site,
};
use crate::truth::assert_exact;

/// Starts of the application over one directory.
const STARTS: u64 = 3;
const REQUESTS: u64 = 200;

/// Under load, gunicorn is reloaded by HUP and told to end by TERM, again and again. Before its last start the sidecar is
/// killed, and comes back when the application is there. What is shown may never go down.
fn restart_under_load(site: &mut Site) -> Result<()> {
    let page = site.sidecar.metrics();
    let watch = Watch::start(&[site.sidecar.page()]);
    for number in 1..=STARTS {
        if number == STARTS {
            site.sidecar.kill()?;
        }
        let application = Application::gunicorn(site, "app:app")?;
        if number == STARTS {
            site.sidecar.start_again()?;
        }
        let load = Load::start(&application.url, 3);
        wait_until_answered(&load, REQUESTS)?;
        application.reload()?;
        wait_until_answered(&load, 2 * REQUESTS)?;
        application.stop_gracefully()?;
        load.finish();
    }
    // A worker that is told to end finishes what it is at first, so not one event is in doubt.
    assert_exact(&page, &site.ledger(), 0)?;
    watch.finish(10)?;
    Ok(())
}

/// The files of all processes that ever were stay, and are the same totals to prometheus_client itself.
#[test]
fn gunicorn_that_is_reloaded_and_started_again_is_exact_and_monotone() -> Result<()> {
    let mut site = Site::start(&[])?;
    restart_under_load(&mut site)?;
    site.assert_same_as_prometheus_client()
}

/// The files of all processes that ever were go, and the totals stay.
#[test]
fn gunicorn_that_is_started_again_is_exact_and_monotone_while_its_files_are_cleaned_up() -> Result<()> {
    let mut site = Site::start(&[("CLEANUP_DB_FILES", "true")])?;
    restart_under_load(&mut site)?;
    site.wait_until_cleaned_up(&[])?;
    site.kill_sidecar()?;
    assert_exact(&site.sidecar.metrics(), &site.ledger(), 0)?;
    Ok(())
}
