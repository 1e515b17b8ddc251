//! Unmodified applications beside a sidecar that knows only their directory.

use anyhow::{Result, ensure};
use metrifold_tests::{Scrape, eventually};

use super::{
    PATIENCE,
    application::{Application, KILLS},
    site::Site,
};
use crate::gunicorn::assert_gauges;

/// Goal: an unmodified application is exact and monotone beside a sidecar that knows only its directory. Method: SIGKILL of
/// workers and of the sidecar under load, then the application's own ledger and prometheus_client's own collector.
#[test]
fn unmodified_gunicorn_beside_a_sidecar_is_exact_and_monotone() -> Result<()> {
    let mut site = Site::start(&[])?;
    let application = Application::gunicorn(&site, "app:app")?;
    application.drive(&mut site)?;
    eventually("the gauges are those of the live workers", PATIENCE, || {
        assert_gauges(&Scrape::of(&site.sidecar.metrics())?, &application.workers()?)
    })?;
    site.assert_same_as_prometheus_client()?;
    application.stop()?;
    eventually("live gauges end with their processes", PATIENCE, || {
        let scrape = Scrape::of(&site.sidecar.metrics())?;
        ensure!(scrape.starting("app_liveall_level{").count() == 0, "some remain");
        Ok(())
    })?;
    let kept = site.names()?.len();
    eventually("every file is done with, and kept", PATIENCE, || {
        let counted = site.own("metrifold_multiproc_files{state=\"kept\"}")?;
        ensure!(counted == kept as f64, "{counted} of {kept}");
        Ok(())
    })?;
    eventually("their size is known, and what the guide's sidecar says of itself", PATIENCE, || {
        // Two kilobytes each at least: it grows by pages.
        let (bytes, started) =
            (site.own("metrifold_multiproc_bytes")?, site.own("process_start_time_seconds")?);
        ensure!(bytes >= 2_048.0 * kept as f64 && started > 1.7e9, "{bytes} bytes, started at {started}");
        ensure!(site.own("metrifold_store_up{store=\"own\"}")? == 1.0, "the store is said to be down");
        Ok(())
    })?;
    site.kill_sidecar()?;
    site.assert_same_as_prometheus_client()
}

/// The same of Django with django-prometheus, whose middlewares count every request.
#[test]
fn unmodified_django_beside_a_sidecar_is_exact_and_monotone() -> Result<()> {
    let mut site = Site::start(&[])?;
    let application = Application::gunicorn(&site, "django_app:application")?;
    application.drive(&mut site)?;
    application.stop()?;
    let requests =
        Scrape::of(&site.sidecar.metrics())?.value("django_http_requests_before_middlewares_total");
    let written = site.ledger().count("django")? as f64;
    ensure!(
        requests >= written && requests <= written + KILLS as f64,
        "{requests} counted, {written} written"
    );
    site.assert_same_as_prometheus_client()
}

/// Files named for worker ids that are used again, as small as pids that run everywhere.
#[test]
fn uwsgi_beside_a_sidecar_is_exact_and_monotone() -> Result<()> {
    let mut site = Site::start(&[])?;
    let arguments = [
        "--master",
        "--die-on-term",
        "--need-app",
        "--lazy-apps",
        "--workers",
        "3",
        "--disable-logging",
        "--module",
        "uwsgi_app",
    ];
    let application = Application::start(&site, "uwsgi", "uwsgi", &arguments, "--http-socket")?;
    application.drive(&mut site)?;
    application.stop()?;
    site.assert_same_as_prometheus_client()
}
