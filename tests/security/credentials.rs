//! Passwords, and tokens per namespace.

use std::path::Path;

use anyhow::{Result, ensure};
use metrifold_tests::Server;

use crate::{
    curl::{Answer, curl},
    site::Site,
};

/// Enough for wrong ones to cost something that can be measured, little enough for a test.
const COST: u32 = 8;

/// One user with the password `secret of <name>`.
pub(crate) fn users(name: &str) -> Result<String> {
    Ok(format!("basic_auth_users:\n  {name}: {:?}\n", bcrypt::hash(format!("secret of {name}"), COST)?))
}

fn ask(server: &Server, path: &str, credentials: &[&str]) -> Result<Answer> {
    let url = format!("{}{path}", server.url());
    curl(&[credentials, &[url.as_str()]].concat())
}

#[test]
fn every_page_asks_for_a_password_and_takes_the_right_one() -> Result<()> {
    let site = Site::new()?;
    let server = site.serve(&users("ann")?)?;
    let pages =
        ["/metrics", "/-/healthy", "/-/ready", "/-/metrics", "/", "/nowhere", "/metrics?namespace=shop"];
    for page in pages {
        let answer = ask(&server, page, &[])?;
        ensure!(
            answer.status == "401" && answer.text.contains("www-authenticate: Basic"),
            "{page}: {answer:?}"
        );
        ensure!(answer.text.contains("credentials are asked for"), "{page}: {answer:?}");
    }
    ensure!(ask(&server, "/-/healthy", &["--user", "ann:secret of ann"])?.status == "200");
    for wrong in ["ann:secret of bob", "ann:", "eve:secret of ann", ":"] {
        let answer = ask(&server, "/-/healthy", &["--user", wrong])?;
        ensure!(answer.status == "401", "{wrong}: {answer:?}");
    }
    let log = server.log();
    ensure!(!log.contains("secret of") && !log.contains("$2b$"), "{log}");
    Ok(())
}

/// Goal: the log says of who was turned away what the metric counts, in fields that can be searched.
#[test]
fn whoever_is_turned_away_is_logged_by_the_reason_that_is_counted() -> Result<()> {
    let site = Site::new()?;
    site.configure(&users("ann")?)?;
    let web = site.file("web.yml");
    let server = site.start(&[("METRIFOLD_WEB__CONFIG_FILE", &web), ("METRIFOLD_LOG__FORMAT", "json")])?;
    ask(&server, "/metrics", &[])?;
    ask(&server, "/metrics", &["--user", "ann:secret of bob"])?;
    let own = ask(&server, "/-/metrics", &["--user", "ann:secret of ann"])?.text;
    let log = server.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let refusals: Vec<_> = lines
        .filter(|line| line["message"] == "a request was turned away" && line["level"] == "WARN")
        .collect();
    ensure!(refusals.len() == 2, "{log}");
    for (refusal, reason) in refusals.iter().zip(["no_credentials", "wrong_credentials"]) {
        ensure!(refusal["reason"] == reason && refusal["path"] == "/metrics", "{refusal}");
        ensure!(refusal["origin"] == "127.0.0.1", "{refusal}");
        ensure!(own.contains(&format!("metrifold_requests_refused_total{{reason=\"{reason}\"}} 1")), "{own}");
    }
    ensure!(!log.contains("secret of"), "{log}");
    Ok(())
}

/// Goal: the time of an answer does not say which users exist. Method: the fastest answer of some to a wrong password and
/// of some to an unknown user; without care the latter is a hundred times faster.
#[test]
fn an_unknown_user_costs_as_much_as_a_wrong_password() -> Result<()> {
    let site = Site::new()?;
    let server = site.serve(&users("ann")?)?;
    let fastest = |credentials: &str| -> Result<f64> {
        let mut fastest = f64::INFINITY;
        for _ in 0..4 {
            let answer = ask(&server, "/-/healthy", &["--user", credentials])?;
            ensure!(answer.status == "401", "{answer:?}");
            fastest = fastest.min(answer.seconds);
        }
        Ok(fastest)
    };
    let (wrong, unknown) = (fastest("ann:wrong")?, fastest("eve:wrong")?);
    ensure!(
        unknown > wrong / 2.0,
        "an unknown user is answered in {unknown} s, a wrong password in {wrong} s"
    );
    Ok(())
}

#[test]
fn wrong_passwords_run_out_and_one_that_was_right_goes_on() -> Result<()> {
    let site = Site::new()?;
    let server = site.serve(&users("ann")?)?;
    let right = ["--user", "ann:secret of ann"];
    ensure!(ask(&server, "/-/healthy", &right)?.status == "200");
    let mut answers = Vec::new();
    // curl asks for each in turn over one connection.
    for _ in 0..30 {
        answers.push(ask(&server, "/-/healthy", &["--user", "ann:guess"])?);
        if answers.last().is_some_and(|answer| answer.status == "429") {
            break;
        }
    }
    let last = answers.last().map(|answer| (answer.status.as_str(), answer.text.as_str()));
    ensure!(answers.len() > 10, "ten guesses are answered: {answers:?}");
    ensure!(
        last.is_some_and(|(status, text)| status == "429"
            && text.contains("retry-after: 1")
            && text.contains("too many wrong passwords")),
        "{last:?}"
    );
    ensure!(ask(&server, "/-/healthy", &right)?.status == "200", "it was right before");
    let own = ask(&server, "/-/metrics", &right)?;
    ensure!(own.text.contains("metrifold_requests_refused_total{reason=\"wrong_too_often\"} "), "{own:?}");
    Ok(())
}

pub(crate) const SHOP_TOKEN: &str = "shop-0123456789abcdef";
pub(crate) const PUSHER_TOKEN: &str = "pusher-0123456789abcdef";

/// One token that may read and push into a namespace, one that may only read all, given in each of the three ways.
pub(crate) fn tokens(directory: &Path) -> Result<String> {
    std::fs::write(directory.join("reader.token"), "reader-0123456789abcdef\n")?;
    let output = std::process::Command::new("sh")
        .args(["-c", &format!("printf %s {PUSHER_TOKEN} | sha256sum | cut -d' ' -f1")])
        .output()?;
    let digest = String::from_utf8(output.stdout)?;
    Ok(format!(
        "bearer_tokens:\n  shop:\n    token: {SHOP_TOKEN}\n    namespaces: [shop]\n    rights: [read, push]\n  \
         reader:\n    token_file: reader.token\n    namespaces: ['*']\n    rights: [read]\n  \
         pusher:\n    token_sha256: '{}'\n    namespaces: [shop, metrifold]\n    rights: [push]\n",
        digest.trim()
    ))
}

#[test]
fn a_token_gives_the_rights_to_its_namespaces_and_no_others() -> Result<()> {
    let site = Site::new()?;
    let server = site.serve(&tokens(site.path())?)?;
    let status = |path: &str, token: &str| -> Result<String> {
        Ok(ask(&server, path, &["--oauth2-bearer", token])?.status)
    };
    // There is no namespace shop yet: 404 comes from behind the gate.
    for (path, shop, reader, pusher) in [
        ("/metrics?namespace=shop", "404", "404", "403"),
        ("/metrics", "403", "200", "403"),
        ("/metrics?namespace=other", "403", "404", "403"),
        ("/metrics?namespace=shop&namespace=metrifold", "403", "200", "403"),
        ("/-/healthy", "200", "200", "200"),
        ("/-/metrics", "403", "200", "403"),
        ("/", "403", "200", "403"),
    ] {
        ensure!(status(path, SHOP_TOKEN)? == shop, "shop, {path}");
        ensure!(status(path, "reader-0123456789abcdef")? == reader, "reader, {path}");
        ensure!(status(path, PUSHER_TOKEN)? == pusher, "pusher, {path}");
    }
    let answer = ask(&server, "/metrics", &["--oauth2-bearer", SHOP_TOKEN])?;
    ensure!(answer.text.contains("the token shop may not read namespace metrifold"), "{answer:?}");
    let answer = ask(&server, "/-/healthy", &["--oauth2-bearer", "shop-0123456789abcdeg"])?;
    ensure!(answer.status == "401" && answer.text.contains("www-authenticate: Bearer"), "{answer:?}");
    let reload =
        ask(&server, "/-/reload", &["--request", "POST", "--oauth2-bearer", "reader-0123456789abcdef"])?;
    ensure!(reload.status == "403", "{reload:?}");
    Ok(())
}

#[test]
fn the_unix_socket_has_no_tls_and_asks_for_credentials() -> Result<()> {
    let site = Site::new()?;
    site.configure(&format!("{}{}", crate::site::TLS, users("ann")?))?;
    let socket = site.file("m.sock");
    let _server = site.start(&[
        ("METRIFOLD_WEB__CONFIG_FILE", &site.file("web.yml")),
        ("METRIFOLD_HTTP__UNIX_SOCKET", &socket),
    ])?;
    let ask = |credentials: &[&str]| {
        curl(&[&["--unix-socket", socket.as_str()], credentials, &["http://x/-/healthy"]].concat())
    };
    ensure!(ask(&[])?.status == "401");
    ensure!(ask(&["--user", "ann:secret of ann"])?.status == "200");
    Ok(())
}
