//! What changes while a server runs, and what does not.

use anyhow::{Result, ensure};
use metrifold_tests::{Server, eventually};
use rustix::process::Signal;

use crate::{
    curl::curl,
    site::{NOTICE_TIMEOUT, Site, TLS, answered},
};

fn post(server: &Server, path: &str) -> Result<crate::curl::Answer> {
    curl(&["--request", "POST", &format!("{}{path}", server.url())])
}

#[test]
fn the_web_configuration_is_read_again_by_itself() -> Result<()> {
    let site = Site::new()?;
    let server = site.serve("# Nobody is asked.\n")?;
    let healthy = format!("{}/-/healthy", server.url());
    ensure!(curl(&[&healthy])?.status == "200");
    site.configure(&format!("basic_auth_users:\n  ann: {:?}\n", bcrypt::hash("secret of ann", 4)?))?;
    answered("a password is asked for", "401", || curl(&[&healthy]))?;
    ensure!(curl(&["--user", "ann:secret of ann", &healthy])?.status == "200");
    // A broken one leaves the last good one in force: nobody comes in by a typing error.
    site.configure("basic_auth_user:\n")?;
    eventually("the error is logged", NOTICE_TIMEOUT, || {
        ensure!(curl(&[&healthy])?.status == "401");
        ensure!(server.log().contains("did you mean basic_auth_users?"), "{}", server.log());
        Ok(())
    })
}

#[test]
fn tls_is_neither_lost_nor_gained_by_an_edit() -> Result<()> {
    let site = Site::new()?;
    let server = site.serve(TLS)?;
    site.configure("# Oops.\n")?;
    eventually("the error is logged", NOTICE_TIMEOUT, || {
        ensure!(site.get(&format!("{}/-/healthy", server.url()), &[])?.status == "200");
        ensure!(server.log().contains("cannot be turned off while the server runs"), "{}", server.log());
        Ok(())
    })
}

#[test]
fn a_reload_changes_the_log_level_and_says_what_takes_a_restart() -> Result<()> {
    let site = Site::new()?;
    let file = site.file("metrifold.toml");
    let write = |level: &str, ttl: &str, url: &str| {
        std::fs::write(
            &file,
            format!("log.level = {level:?}\nworkers.ttl = {ttl:?}\n[upstream]\ntarget = {url:?}\n"),
        )
    };
    write("info", "60s", "redis://:one@127.0.0.1:1")?;
    let segments = site.file("segments");
    let arguments = ["serve", "--config", &file, "--segment-dir", &segments];
    let server = Server::start("server", &arguments, site.path())?;
    let debug = || server.log().contains("DEBUG");
    ensure!(!debug(), "{}", server.log());

    write("debug", "60s", "redis://:one@127.0.0.1:1")?;
    let answer = post(&server, "/-/reload")?;
    ensure!(answer.status == "200" && !answer.text.contains("restart"), "{answer:?}");
    eventually("debug lines are logged", NOTICE_TIMEOUT, || {
        ensure!(debug(), "{}", server.log());
        Ok(())
    })?;

    write("loud=loud", "60s", "redis://:one@127.0.0.1:1")?;
    let answer = post(&server, "/-/reload")?;
    ensure!(answer.status == "500" && answer.text.contains("log.level"), "{answer:?}");

    // Also a password that changes counts as a change, and is not shown.
    write("info", "90s", "redis://:two@127.0.0.1:1")?;
    let answer = post(&server, "/-/reload")?;
    ensure!(answer.text.contains("take a restart: upstream.target, workers.ttl"), "{answer:?}");
    ensure!(curl(&[&format!("{}/-/reload", server.url())])?.status == "405");
    Ok(())
}

#[test]
fn sighup_reads_the_configuration_again() -> Result<()> {
    let site = Site::new()?;
    let mut server = site.serve(TLS)?;
    server.process().signal(Signal::HUP)?;
    eventually("it says so", NOTICE_TIMEOUT, || {
        ensure!(server.log().contains("reloaded: the web configuration"), "{}", server.log());
        Ok(())
    })
}
