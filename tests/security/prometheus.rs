//! A real Prometheus with what README.md and docs/security.md tell it.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use metrifold_tests::{Prometheus, Server, eventually, get, repository};
use serde_json::Value;

use crate::{
    certificates::loopback,
    clients::Application,
    credentials::{PUSHER_TOKEN, tokens, users},
    site::{Site, TLS, answered},
};

/// How long Prometheus may take to start, to ask for its targets and to scrape them.
const PATIENCE: Duration = Duration::from_secs(30);

/// The jobs of the `prometheus.yml` that a document shows in this place, of this server and under this name.
fn job(document: &str, place: usize, server: &Server, name: &str) -> Result<String> {
    let text = fs::read_to_string(repository().join(document))?;
    let shown = text.split("```yaml\n# prometheus.yml\nscrape_configs:\n").skip(1).nth(place);
    let shown = shown.and_then(|rest| rest.split("```").next()).context("no such prometheus.yml")?;
    ensure!(shown.contains("job_name: metrifold\n"), "{shown}");
    let address = server.url().split("//").nth(1).context("an address")?;
    let here = ["metrics.example:9091", "metrifold:9091"]
        .iter()
        .fold(shown.to_owned(), |job, host| job.replace(host, address));
    Ok(here.replace("job_name: metrifold", &format!("job_name: {name}")))
}

/// A Prometheus with these jobs, in the directory of the site's certificates and passwords.
fn prometheus(site: &Site, jobs: &[String]) -> Result<Prometheus> {
    let text = format!("global: {{ scrape_interval: 1s }}\nscrape_configs:\n{}", jobs.concat());
    fs::write(site.file("prometheus.yml"), text)?;
    Prometheus::with(&site.path().join("prometheus.yml"))
}

/// Waits until Prometheus has what was counted.
fn has(prometheus: &Prometheus, selector: &str, count: f64) -> Result<()> {
    eventually(selector, PATIENCE, || {
        let found = prometheus.query(&format!("events_total{{{selector}}}"))?;
        ensure!(found == Some(count), "{found:?}, {:#?}", prometheus.targets()?);
        Ok(())
    })
}

/// The targets of a job, once all are as they should be.
fn targets(prometheus: &Prometheus, job: &str, health: &str) -> Result<Vec<Value>> {
    eventually(&format!("{job} is {health}"), PATIENCE, || {
        let mut targets = prometheus.targets()?;
        targets.retain(|target| target["labels"]["job"] == job);
        let is_so = !targets.is_empty() && targets.iter().all(|target| target["health"] == health);
        ensure!(is_so, "{targets:#?}");
        Ok(targets)
    })
}

/// Goal: what docs/security.md says is enough for Prometheus, and who gives a wrong password reads why. Method: one server
/// with TLS, users and two namespaces, and one Prometheus with each `prometheus.yml` of the section as a job.
#[test]
fn the_documented_jobs_scrape_over_tls_with_a_password_and_a_wrong_one_is_told() -> Result<()> {
    let site = Site::new()?;
    let server = site.serve(&format!("{TLS}{}{}", users("prometheus")?, tokens(site.path())?))?;
    fs::write(site.file("password"), "secret of prometheus\n")?;
    fs::write(site.file("wrong"), "secret of ann\n")?;
    let target = format!("{}?ca={}", server.url(), site.file("ca.pem"));
    for (namespace, count) in [("metrifold", 3), ("shop", 7)] {
        Application::start(&target, namespace, Some(PUSHER_TOKEN), count)?.flush()?;
    }
    answered("both namespaces are listed", "200", || {
        let sd = format!("{}/sd", server.url());
        let listed = site.get(&sd, &["--user", "prometheus:secret of prometheus"])?;
        ensure!(listed.text.contains("\"shop\""), "{listed:?}");
        Ok(listed)
    })?;

    let fixed = job("docs/security.md", 0, &server, "fixed")?;
    let wrong = fixed
        .replace("job_name: fixed", "job_name: wrong")
        .replace("password_file: password", "password_file: wrong");
    let discovered = job("docs/security.md", 1, &server, "discovered")?;
    let prometheus = prometheus(&site, &[fixed, discovered, wrong])?;
    has(&prometheus, "job=\"fixed\"", 3.0)?;
    has(&prometheus, "job=\"discovered\",namespace=\"metrifold\"", 3.0)?;
    has(&prometheus, "job=\"discovered\",namespace=\"shop\"", 7.0)?;
    ensure!(targets(&prometheus, "discovered", "up")?.len() == 2);
    let refused = targets(&prometheus, "wrong", "down")?;
    let error = refused[0]["lastError"].as_str().unwrap_or_default();
    ensure!(error == "server returned HTTP status 401 Unauthorized", "{error}");
    Ok(())
}

#[test]
fn the_documented_job_scrapes_with_a_client_certificate() -> Result<()> {
    let site = Site::new()?;
    site.authority.sign("client", vec![loopback()])?;
    let mutual = "  client_ca_file: ca.pem\n  client_auth_type: RequireAndVerifyClientCert\n";
    let server = site.serve(&format!("{TLS}{mutual}"))?;
    let own = format!("&cert={}&key={}", site.file("client.pem"), site.file("client.key"));
    let target = format!("{}?ca={}{own}", server.url(), site.file("ca.pem"));
    Application::start(&target, "metrifold", None, 3)?.flush()?;

    let certified = job("docs/security.md", 2, &server, "certified")?;
    let bare = certified
        .replace("job_name: certified", "job_name: bare")
        .replace(", cert_file: client.pem, key_file: client.key", "");
    let prometheus = prometheus(&site, &[certified, bare])?;
    has(&prometheus, "job=\"certified\"", 3.0)?;
    let refused = targets(&prometheus, "bare", "down")?;
    ensure!(refused[0]["lastError"].as_str().is_some_and(|error| error.contains("tls")), "{refused:#?}");
    Ok(())
}

/// Without a label of its own, the series of one namespace would be those of the other.
#[test]
fn the_readmes_job_scrapes_every_namespace_and_tells_them_apart() -> Result<()> {
    let site = Site::new()?;
    let server = site.start(&[])?;
    for (namespace, count) in [("metrifold", 3), ("shop", 7)] {
        Application::start(server.url(), namespace, None, count)?.flush()?;
    }
    eventually("both namespaces are listed", PATIENCE, || {
        let listed = get(&format!("{}/sd", server.url()))?;
        ensure!(listed.contains("\"shop\""), "{listed}");
        Ok(())
    })?;
    let prometheus = prometheus(&site, &[job("README.md", 0, &server, "discovered")?])?;
    has(&prometheus, "namespace=\"metrifold\"", 3.0)?;
    has(&prometheus, "namespace=\"shop\"", 7.0)
}
