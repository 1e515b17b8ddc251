//! What one peer can take from the others.

use std::net::TcpStream;

use anyhow::{Context, Result, ensure};

use crate::{
    curl::curl,
    site::{Site, TLS},
};

#[test]
fn peers_that_say_nothing_hold_up_nobody() -> Result<()> {
    let site = Site::new()?;
    let server = site.serve(TLS)?;
    let address = server.url().strip_prefix("https://").context("TLS")?;
    let silent = (0..100).map(|_| TcpStream::connect(address)).collect::<Result<Vec<_>, _>>()?;
    let answer = site.get(&format!("{}/-/healthy", server.url()), &[])?;
    ensure!(answer.status == "200" && silent.len() == 100, "{answer:?}");
    Ok(())
}

#[test]
fn a_head_that_is_too_large_is_refused() -> Result<()> {
    let site = Site::new()?;
    let server = site.serve(TLS)?;
    let healthy = format!("{}/-/healthy", server.url());
    let header = format!("X-Long: {}", "x".repeat(100_000));
    let answer = site.get(&healthy, &["--http1.1", "--header", &header])?;
    ensure!(answer.status == "431", "{}", answer.complaint);
    // Far beyond the bound HTTP/2 ends the connection instead.
    let answer = site.get(&healthy, &["--http2", "--header", &header])?;
    ensure!(["431", "000"].contains(&answer.status.as_str()), "{}", answer.status);
    Ok(())
}

#[test]
fn more_requests_than_the_rate_are_sent_away_and_headers_stand_on_every_answer() -> Result<()> {
    let site = Site::new()?;
    let server = site.serve(
        "rate_limit:\n  interval: 1h\n  burst: 2\nhttp_server_config:\n  headers:\n    X-Frame-Options: deny\n    \
         Strict-Transport-Security: max-age=31536000\n",
    )?;
    let healthy = format!("{}/-/healthy", server.url());
    for status in ["200", "200", "429", "429"] {
        let answer = curl(&[&healthy])?;
        ensure!(answer.status == status, "{answer:?}");
        ensure!(answer.text.contains("x-frame-options: deny"), "{answer:?}");
        ensure!(answer.text.contains("strict-transport-security: max-age=31536000"), "{answer:?}");
    }
    let answer = curl(&[&healthy])?;
    ensure!(answer.text.contains("retry-after: "), "{answer:?}");
    Ok(())
}
