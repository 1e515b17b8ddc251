//! The Rust client over TLS, with certificates and tokens: what it counts arrives, or it says why not.

use std::time::Duration;

use anyhow::{Result, ensure};
use metrifold_client::{Pusher, Token};
use metrifold_tests::eventually;
use prometheus::{IntCounter, Registry};

use crate::{
    certificates::loopback,
    credentials::{SHOP_TOKEN, tokens},
    site::{NOTICE_TIMEOUT, Site, TLS, answered},
};

/// A process that counts to `count` in `namespace`.
pub(crate) struct Application {
    pusher: Pusher,
}

impl Application {
    pub(crate) fn start(
        target: &str,
        namespace: &str,
        token: Option<&str>,
        count: u64,
    ) -> Result<Application> {
        let registry = Registry::new();
        let counter = IntCounter::new("events_total", "Events.")?;
        registry.register(Box::new(counter.clone()))?;
        let token = Token::new(token.map(str::to_owned), None)?;
        let builder = Pusher::builder().registry(registry).target(target).namespace(namespace).token(token);
        let pusher = builder
            .push_interval(Duration::from_millis(50))
            .exit_timeout(Duration::from_millis(100))
            .start()?;
        counter.inc_by(count);
        Ok(Application { pusher })
    }

    pub(crate) fn flush(&self) -> Result<()> {
        Ok(self.pusher.flush(NOTICE_TIMEOUT)?)
    }

    /// Waits until the client gives this reason for its failure.
    fn fails_with(&self, reason: &str) -> Result<()> {
        eventually(reason, NOTICE_TIMEOUT, || {
            let status = self.pusher.status();
            let said = status.last_error.as_deref().unwrap_or_default();
            ensure!(said.contains(reason), "{said:?}");
            Ok(())
        })
    }
}

#[test]
fn what_a_client_counts_arrives_over_mutual_tls_and_a_client_says_what_keeps_it_out() -> Result<()> {
    let site = Site::new()?;
    site.authority.sign("client", Vec::new())?;
    let mutual = "  client_ca_file: ca.pem\n  client_auth_type: RequireAndVerifyClientCert\n";
    let server = site.serve(&format!("{TLS}{mutual}"))?;
    let (cert, key) = (site.file("client.pem"), site.file("client.key"));
    let bare = format!("{}?ca={}", server.url(), site.file("ca.pem"));
    let own = format!("{bare}&cert={cert}&key={key}");

    let application = Application::start(&own, "metrifold", None, 3)?;
    application.flush()?;
    let page = site.get(&server.metrics(), &["--cert", &cert, "--key", &key])?;
    ensure!(page.text.contains("events_total 3"), "{page:?}");

    Application::start(&bare, "metrifold", None, 1)?.fails_with("CertificateRequired")?;
    let foreign = own.replace("ca.pem", "stranger.pem");
    Application::start(&foreign, "metrifold", None, 1)?.fails_with("UnknownIssuer")?;
    let elsewhere = own.replace("127.0.0.1", "localhost");
    Application::start(&elsewhere, "metrifold", None, 1)?.fails_with("not valid for name")?;
    let plain = server.url().replace("https", "http");
    ensure!(Application::start(&plain, "metrifold", None, 1)?.flush_fails());
    Ok(())
}

impl Application {
    fn flush_fails(&self) -> bool {
        self.pusher.flush(Duration::from_millis(500)).is_err()
    }
}

#[test]
fn a_client_says_that_the_servers_certificate_has_expired_and_goes_on_when_it_is_replaced() -> Result<()> {
    let site = Site::new()?;
    site.authority.sign_expired("server", vec![loopback()])?;
    let server = site.serve(TLS)?;
    let target = format!("{}?ca={}", server.url(), site.file("ca.pem"));
    let application = Application::start(&target, "metrifold", None, 5)?;
    application.fails_with("certificate expired")?;
    site.authority.sign("server", vec![loopback()])?;
    application.flush()?;
    let page = answered("what was counted meanwhile is there", "200", || site.get(&server.metrics(), &[]))?;
    ensure!(page.text.contains("events_total 5"), "{page:?}");
    Ok(())
}

#[test]
fn a_client_pushes_with_its_token_into_its_namespace_and_nowhere_else() -> Result<()> {
    let site = Site::new()?;
    let server = site.serve(&format!("{TLS}{}", tokens(site.path())?))?;
    let target = format!("{}?ca={}", server.url(), site.file("ca.pem"));
    Application::start(&target, "shop", Some(SHOP_TOKEN), 7)?.flush()?;
    let page = site.get(&format!("{}?namespace=shop", server.metrics()), &["--oauth2-bearer", SHOP_TOKEN])?;
    ensure!(page.text.contains("events_total 7"), "{page:?}");

    Application::start(&target, "other", Some(SHOP_TOKEN), 1)?
        .fails_with("the token shop may not push into namespace other")?;
    Application::start(&target, "shop", Some("reader-0123456789abcdef"), 1)?
        .fails_with("the token reader may not push into namespace shop")?;
    Application::start(&target, "shop", None, 1)?.fails_with("credentials are asked for")?;
    Application::start(&target, "shop", Some("nobody-0123456789abcdef"), 1)?.fails_with("token is wrong")?;
    ensure!(!server.log().contains("0123456789abcdef"), "{}", server.log());
    Ok(())
}
