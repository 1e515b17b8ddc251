//! Certificates of clients.

use anyhow::{Result, ensure};

use crate::{
    certificates::uri,
    curl::Answer,
    site::{Site, TLS},
};

const MUTUAL: &str = "  client_ca_file: ca.pem\n  client_auth_type: RequireAndVerifyClientCert\n";

/// Asks with the certificate of this name; "" for none.
fn ask(site: &Site, url: &str, name: &str) -> Result<Answer> {
    let (cert, key) = (site.file(&format!("{name}.pem")), site.file(&format!("{name}.key")));
    let own = ["--cert", cert.as_str(), "--key", key.as_str()];
    site.get(&format!("{url}/-/healthy"), if name.is_empty() { &[] } else { &own })
}

#[test]
fn a_client_needs_a_certificate_of_our_authority_and_hears_what_is_wrong_with_its_own() -> Result<()> {
    let site = Site::new()?;
    site.authority.sign("client", Vec::new())?;
    site.authority.sign_expired("expired", Vec::new())?;
    site.stranger.sign("foreign", Vec::new())?;
    let server = site.serve(&format!("{TLS}{MUTUAL}"))?;
    let answer = ask(&site, server.url(), "client")?;
    ensure!(answer.status == "200", "{answer:?}");
    for (name, complaint) in
        [("", "certificate required"), ("expired", "certificate expired"), ("foreign", "unknown ca")]
    {
        let answer = ask(&site, server.url(), name)?;
        ensure!(answer.status == "000" && answer.complaint.contains(complaint), "{name}: {answer:?}");
    }
    ensure!(server.log().contains("a TLS handshake failed"), "{}", server.log());
    Ok(())
}

#[test]
fn only_certificates_with_an_allowed_name_are_let_in() -> Result<()> {
    let site = Site::new()?;
    site.authority.sign("shop", vec![uri("spiffe://shop/worker")?])?;
    site.authority.sign("other", vec![uri("spiffe://other/worker")?, uri("spiffe://shop/worker/2")?])?;
    site.authority.sign("nameless", Vec::new())?;
    let allowed = "  client_allowed_sans: [spiffe://shop/worker, 10.0.0.7]\n";
    let server = site.serve(&format!("{TLS}{MUTUAL}{allowed}"))?;
    ensure!(ask(&site, server.url(), "shop")?.status == "200");
    for name in ["other", "nameless"] {
        let answer = ask(&site, server.url(), name)?;
        ensure!(answer.status == "000" && answer.complaint.contains("access denied"), "{name}: {answer:?}");
    }
    Ok(())
}

#[test]
fn each_client_auth_type_lets_in_whom_its_name_says() -> Result<()> {
    let site = Site::new()?;
    site.authority.sign("client", Vec::new())?;
    site.stranger.sign("foreign", Vec::new())?;
    let ca = "  client_ca_file: ca.pem\n";
    for (auth, ca, none, foreign) in [
        ("NoClientCert", "", true, true),
        ("RequestClientCert", "", true, true),
        ("RequireAnyClientCert", "", false, true),
        ("VerifyClientCertIfGiven", ca, true, false),
        ("RequireAndVerifyClientCert", ca, false, false),
    ] {
        let server = site.serve(&format!("{TLS}{ca}  client_auth_type: {auth}\n"))?;
        for (name, is_let_in) in [("client", true), ("", none), ("foreign", foreign)] {
            let answer = ask(&site, server.url(), name)?;
            ensure!((answer.status == "200") == is_let_in, "{auth} and {name:?}: {answer:?}");
        }
    }
    Ok(())
}
