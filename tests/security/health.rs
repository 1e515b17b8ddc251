//! Health checks of containers, whose server asks for a certificate, a password or a token.

use std::process::{Command, Output};

use anyhow::{Result, ensure};
use metrifold_tests::binary;

use crate::site::{Site, TLS};

fn health(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Output> {
    let mut command = Command::new(binary()?);
    command.arg("health").args(arguments).envs(environment.iter().copied());
    Ok(command.output()?)
}

#[test]
fn health_is_asked_over_tls_and_with_credentials() -> Result<()> {
    let site = Site::new()?;
    let hash = bcrypt::hash("secret of ann", 4)?;
    let tokens =
        "bearer_tokens:\n  probe:\n    token_file: token\n    namespaces: [metrifold]\n    rights: [read]\n";
    std::fs::write(site.file("token"), "abcdefghijklmnop\n")?;
    let server = site.serve(&format!("{TLS}basic_auth_users:\n  ann: {hash:?}\n{tokens}"))?;
    std::fs::write(site.file("password"), "secret of ann\n")?;

    let port = server.port()?;
    let url = format!("https://127.0.0.1:{port}/-/ready?ca={}", site.file("ca.pem"));
    let (password, token) = (site.file("password"), site.file("token"));
    let as_ann = ["--url", &url, "--user", "ann", "--password-file", &password];
    for (arguments, environment) in [
        (&as_ann[..], &[][..]),
        (&as_ann[..2], &[("METRIFOLD_TOKEN_FILE", token.as_str())]),
        (&as_ann[..2], &[("METRIFOLD_TOKEN", "abcdefghijklmnop")]),
    ] {
        let answer = health(arguments, environment)?;
        ensure!(answer.status.success() && answer.stdout == b"ready\n", "{answer:?}");
    }

    // By another name than the certificate has: only where that is said.
    let elsewhere = url.replace("127.0.0.1", "localhost");
    let named =
        ["--url", &elsewhere, "--server-name", "127.0.0.1", "--user", "ann", "--password-file", &password];
    ensure!(health(&named, &[])?.status.success());
    for (arguments, environment, complaint) in [
        (&as_ann[..2], &[][..], "401"),
        (&as_ann[..2], &[("METRIFOLD_TOKEN", "wrong")], "401"),
        (&["--url", &url.replace("ca.pem", "stranger.pem")], &[], "certificate"),
        (&["--url", &elsewhere], &[], "certificate"),
    ] {
        let answer = health(arguments, environment)?;
        let said = String::from_utf8(answer.stderr)?;
        ensure!(!answer.status.success() && said.contains(complaint), "{complaint}: {said}");
        ensure!(!said.contains("abcdefghijklmnop"), "{said}");
    }
    Ok(())
}
