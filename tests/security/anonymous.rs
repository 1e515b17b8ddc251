//! Pushes by those whom nobody asked who they are.

use std::{net::UdpSocket, time::Duration};

use anyhow::{Context, Result, ensure};
use metrifold_client::{Pusher, Token};
use metrifold_tests::{Scrape, Server, get, skip};
use prometheus::{IntCounter, Registry};
use rcgen::SanType;

use crate::{
    certificates::loopback,
    site::{Site, TLS},
};

/// An address of this host that is not loopback: whoever comes by it might come from anywhere.
fn address() -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent: the kernel only says by which address it would be.
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then(|| address.to_string())
}

fn serve(site: &Site, name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Server> {
    let segments = site.file(name);
    let mut all = vec![("METRIFOLD_AGENT__SEGMENT_DIR", segments.as_str())];
    all.extend(environment);
    Server::on("0.0.0.0", name, &[&["serve"], arguments].concat(), &all, site.path())
}

/// Counts one event and pushes it.
fn push(target: &str, token: Option<&str>) -> Result<(), String> {
    let registry = Registry::new();
    let counter = IntCounter::new("forged_total", "Forged.").expect("valid");
    registry.register(Box::new(counter.clone())).expect("new");
    let pusher = Pusher::builder().registry(registry).target(target);
    let token = Token::new(token.map(str::to_owned), None).map_err(|error| error.to_string())?;
    let pusher = pusher.token(token);
    let pusher =
        pusher.exit_timeout(Duration::from_millis(100)).start().map_err(|error| error.to_string())?;
    counter.inc();
    pusher.flush(Duration::from_secs(3)).map_err(|error| error.to_string())
}

#[test]
fn pushes_from_elsewhere_need_credentials_or_a_word_that_they_do_not() -> Result<()> {
    let Some(host) = address() else {
        skip("this host has no address but loopback");
        return Ok(());
    };
    let site = Site::new()?;
    let shown = |server: &Server| get(&format!("http://127.0.0.1:{}/metrics", server.port()?));

    let closed = serve(&site, "closed", &[], &[])?;
    ensure!(closed.log().contains("ingest.allow_anonymous"), "it says so: {}", closed.log());
    let elsewhere = format!("http://{host}:{}", closed.port()?);
    let error = push(&elsewhere, None).expect_err("nobody asked who it is");
    ensure!(error.contains("ingest.allow_anonymous") && error.contains("web.config_file"), "{error}");
    ensure!(!shown(&closed)?.contains("forged_total"), "nothing of it is shown");
    ensure!(Scrape::of(&format!("{elsewhere}/metrics")).is_ok(), "anybody may read");
    push(&format!("http://127.0.0.1:{}", closed.port()?), None)
        .map_err(anyhow::Error::msg)
        .context("its own host")?;

    let open = serve(&site, "open", &["--allow-anonymous"], &[])?;
    push(&format!("http://{host}:{}", open.port()?), None).map_err(anyhow::Error::msg)?;
    ensure!(shown(&open)?.contains("forged_total 1"), "{}", shown(&open)?);

    site.configure(
        "bearer_tokens:\n  worker:\n    token: secret-of-the-workers-0123456789\n    namespaces: ['*']\n    rights: [push]\n",
    )?;
    let web = site.file("web.yml");
    let guarded = serve(&site, "guarded", &[], &[("METRIFOLD_WEB__CONFIG_FILE", &web)])?;
    push(&format!("http://{host}:{}", guarded.port()?), Some("secret-of-the-workers-0123456789"))
        .map_err(anyhow::Error::msg)
}

/// A certificate says who somebody is only if an authority that is known must have signed it.
#[test]
fn of_client_certificates_only_those_that_are_verified_let_pushes_in_from_elsewhere() -> Result<()> {
    let Some(host) = address() else {
        skip("this host has no address but loopback");
        return Ok(());
    };
    let site = Site::new()?;
    site.authority.sign("server", vec![loopback(), SanType::IpAddress(host.parse()?)])?;
    site.authority.sign("client", Vec::new())?;
    site.stranger.sign("foreign", Vec::new())?;
    for (auth, ca, name, is_let_in) in [
        ("RequireAnyClientCert", "", "foreign", false),
        ("RequireAndVerifyClientCert", "  client_ca_file: ca.pem\n", "client", true),
    ] {
        site.configure(&format!("{TLS}{ca}  client_auth_type: {auth}\n"))?;
        let web = site.file("web.yml");
        let server = serve(&site, auth, &[], &[("METRIFOLD_WEB__CONFIG_FILE", &web)])?;
        let [ca, cert, key] =
            ["ca.pem", &format!("{name}.pem"), &format!("{name}.key")].map(|file| site.file(file));
        let target = format!("https://{host}:{}?ca={ca}&cert={cert}&key={key}", server.port()?);
        let pushed = push(&target, None);
        ensure!(pushed.is_ok() == is_let_in, "{auth}: {pushed:?}");
        let reason = pushed.err().unwrap_or_default();
        ensure!(is_let_in || reason.contains("ingest.allow_anonymous"), "{auth}: {reason}");
    }
    Ok(())
}

/// A gunicorn's local server is bound to all addresses as its guide says, and is its workers' alone: they count in memory.
#[test]
fn a_server_that_ends_with_its_workers_takes_no_pushes_from_anybody() -> Result<()> {
    let site = Site::new()?;
    let local = serve(&site, "local", &["--exit-when-idle"], &[("METRIFOLD_AGENT__LINGER", "60s")])?;
    let error = push(&format!("http://127.0.0.1:{}", local.port()?), None).expect_err("it takes none");
    ensure!(
        Scrape::of(&format!("http://127.0.0.1:{}/metrics", local.port()?))?.samples.is_empty(),
        "{error}"
    );
    Ok(())
}
