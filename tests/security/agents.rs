//! An agent that pushes on over TLS with a token.

use std::{process::Command, time::Duration};

use anyhow::{Result, ensure};
use metrifold_tests::{Process, Server, binary, eventually, rust_example};

use crate::{
    credentials::{SHOP_TOKEN, tokens},
    site::{Site, TLS},
};

#[test]
fn an_agent_pushes_on_over_tls_with_its_token() -> Result<()> {
    let site = Site::new()?;
    let central = site.serve(&format!("{TLS}{}", tokens(site.path())?))?;
    let upstream = format!("{}?ca={}", central.url(), site.file("ca.pem"));
    let segments = site.file("host");
    std::fs::write(site.file("token"), SHOP_TOKEN)?;
    let arguments = ["agent", "--to", &upstream, "--segment-dir", &segments, "--namespace", "shop"];
    let token_file = site.file("token");
    let agent = Server::with("agent", &arguments, &[("METRIFOLD_TOKEN_FILE", &token_file)], site.path())?;
    let mut worker = Command::new(rust_example("worker")?);
    worker
        .args(["--target", &format!("local:{segments}"), "--events", "500", "--rate", "5000"])
        .args(["--flush-every", "100ms", "--ledger", &site.file("ledger")])
        .env("METRIFOLD_NAMESPACE", "shop");
    let mut worker = Process::start("worker", &mut worker, site.path())?;
    ensure!(worker.wait(Duration::from_secs(20))?.success(), "{}", worker.log());
    let page = format!("{}?namespace=shop", central.metrics());
    eventually("all events are at the central server", Duration::from_secs(20), || {
        let answer = site.get(&page, &["--oauth2-bearer", SHOP_TOKEN])?;
        ensure!(answer.text.contains("worker_events_total 500"), "{answer:?}\n{}", agent.log());
        Ok(())
    })
}

#[test]
fn check_config_shows_the_rules_and_no_secret() -> Result<()> {
    let site = Site::new()?;
    site.configure(&format!("{TLS}{}", tokens(site.path())?))?;
    let check = |web: &str, token: &str| -> Result<std::process::Output> {
        Ok(Command::new(binary()?)
            .arg("check-config")
            .env_clear()
            .env("METRIFOLD_WEB__CONFIG_FILE", web)
            .env("METRIFOLD_TOKEN", token)
            .output()?)
    };
    let good = check(&site.file("web.yml"), SHOP_TOKEN)?;
    let text = String::from_utf8(good.stdout)?;
    ensure!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    ensure!(text.contains("upstream.token = ***  # METRIFOLD_TOKEN"), "{text}");
    ensure!(text.contains("# the listener: TLS, 3 tokens") && !text.contains(SHOP_TOKEN), "{text}");

    site.configure(
        "tls_server_config:\n  cert_fil: x\n  min_version: TLS10\n  client_auth_type: Yes\nrate_limits: 1\n",
    )?;
    let bad = check(&site.file("web.yml"), SHOP_TOKEN)?;
    let text = String::from_utf8(bad.stderr)?;
    ensure!(!bad.status.success());
    for part in [
        "rate_limits: there is no such key; did you mean rate_limit?",
        "tls_server_config.cert_fil: there is no such key; did you mean cert_file?",
        "tls_server_config.cert: one of cert and cert_file is expected",
        "tls_server_config.min_version: TLS10 is not spoken",
        "tls_server_config.client_auth_type: \"Yes\" is none of NoClientCert",
    ] {
        ensure!(text.contains(part), "{part} is missing in {text}");
    }
    Ok(())
}
