//! TLS: whom clients trust, what they hear if they should not, and certificates that change.

use anyhow::{Result, ensure};
use rcgen::SanType;

use crate::{
    certificates::loopback,
    curl::curl,
    site::{Site, TLS, answered, own_metric},
};

#[test]
fn clients_trust_an_own_authority_and_hear_why_they_trust_no_other() -> Result<()> {
    let site = Site::new()?;
    let server = site.serve(TLS)?;
    ensure!(server.url().starts_with("https://"), "{}", server.url());
    let healthy = format!("{}/-/healthy", server.url());

    let answer = site.get(&healthy, &[])?;
    ensure!(answer.status == "200" && answer.text.contains("HTTP/2 200"), "{answer:?}");
    let answer = site.get(&healthy, &["--http1.1", "--tls-max", "1.2"])?;
    ensure!(answer.text.contains("HTTP/1.1 200"), "{answer:?}");

    let stranger = site.file("stranger.pem");
    let answer = curl(&["--cacert", stranger.as_str(), &healthy])?;
    ensure!(answer.complaint.contains("certificate"), "{answer:?}");
    let elsewhere = healthy.replace("127.0.0.1", "localhost");
    let answer = site.get(&elsewhere, &[])?;
    ensure!(answer.complaint.contains("localhost"), "the certificate is for 127.0.0.1: {answer:?}");
    Ok(())
}

#[test]
fn whoever_speaks_plain_text_to_tls_is_told_so() -> Result<()> {
    let site = Site::new()?;
    let server = site.serve(TLS)?;
    let plain = server.url().replace("https", "http");
    let answer = curl(&[plain.as_str()])?;
    ensure!(answer.status == "400" && answer.text.contains("use https://"), "{answer:?}");
    Ok(())
}

#[test]
fn service_discovery_over_tls_says_https() -> Result<()> {
    let site = Site::new()?;
    let server = site.serve(TLS)?;
    let answer =
        answered("the namespaces are known", "200", || site.get(&format!("{}/sd", server.url()), &[]))?;
    ensure!(answer.text.contains(r#""__scheme__":"https""#), "{answer:?}");
    Ok(())
}

#[test]
fn an_expired_certificate_is_refused_by_clients_and_shown_by_the_server() -> Result<()> {
    let site = Site::new()?;
    site.authority.sign_expired("server", vec![loopback()])?;
    let server = site.serve(TLS)?;
    let answer = site.get(&format!("{}/-/healthy", server.url()), &[])?;
    ensure!(answer.complaint.contains("expired"), "{answer:?}");
    ensure!(server.log().contains("certificate has expired"), "{}", server.log());
    let answer = curl(&["--insecure", &server.own_metrics()])?;
    let expiry = own_metric(&answer.text, "metrifold_certificate_expiry_timestamp_seconds")?;
    ensure!(expiry == 1_609_459_200.0, "2021-01-01 is {expiry}");
    Ok(())
}

/// Goal: a new certificate is used at once, and a broken one never. Method: replace the files one by one under a running
/// server, and ask with the authority of each.
#[test]
fn a_certificate_is_replaced_while_the_server_runs_and_a_broken_one_is_not_used() -> Result<()> {
    let site = Site::new()?;
    let server = site.serve(TLS)?;
    let (own, stranger) = (server.own_metrics(), site.file("stranger.pem"));
    let by_first = || site.get(&own, &[]);
    let by_second = || curl(&["--cacert", stranger.as_str(), &own]);
    let first = by_first()?;
    ensure!(own_metric(&first.text, "metrifold_web_config_good")? == 1.0, "{first:?}");

    // A key that is not that of the certificate: the one before stays in force.
    let key = std::fs::read(site.file("server.key"))?;
    std::fs::write(site.file("server.key"), std::fs::read(site.file("ca.pem"))?)?;
    answered("the error shows", "200", || {
        let answer = by_first()?;
        ensure!(own_metric(&answer.text, "metrifold_web_config_good")? == 0.0, "not noticed yet");
        Ok(answer)
    })?;
    ensure!(server.log().contains("the last good one stays in force"), "{}", server.log());
    std::fs::write(site.file("server.key"), key)?;
    answered("it is good again", "200", || {
        let answer = by_first()?;
        ensure!(own_metric(&answer.text, "metrifold_web_config_good")? == 1.0, "not noticed yet");
        Ok(answer)
    })?;

    site.stranger.sign("server", vec![loopback()])?;
    answered("the certificate of the other authority is used", "200", by_second)?;
    ensure!(by_first()?.complaint.contains("certificate"));
    Ok(())
}

#[test]
fn a_name_of_the_certificate_is_enough_whatever_its_kind() -> Result<()> {
    let site = Site::new()?;
    site.authority.sign("server", vec![SanType::DnsName("localhost".try_into()?), loopback()])?;
    let server = site.serve(TLS)?;
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("{}/-/healthy", server.url().replace("127.0.0.1", host));
        ensure!(site.get(&url, &["-4"])?.status == "200", "{host}");
    }
    Ok(())
}

#[test]
fn versions_and_suites_are_those_of_the_configuration() -> Result<()> {
    let site = Site::new()?;
    let server = site.serve(&format!("{TLS}  min_version: TLS13\n  curve_preferences: [CurveP384]\n"))?;
    let healthy = format!("{}/-/healthy", server.url());
    let answer = site.get(&healthy, &["--tls-max", "1.2"])?;
    ensure!(answer.complaint.contains("protocol version"), "{answer:?}");
    ensure!(site.get(&healthy, &["--curves", "secp384r1"])?.status == "200");
    ensure!(site.get(&healthy, &["--curves", "X25519"])?.status == "000");
    Ok(())
}

#[test]
fn the_newest_version_the_suites_and_http2_can_be_limited() -> Result<()> {
    let site = Site::new()?;
    let suites = "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]\n";
    let server =
        site.serve(&format!("{TLS}  max_version: TLS12\n{suites}http_server_config:\n  http2: false\n"))?;
    let healthy = format!("{}/-/healthy", server.url());
    let answer = site.get(&healthy, &[])?;
    ensure!(answer.status == "200" && answer.text.contains("HTTP/1.1 200"), "{answer:?}");
    let answer = site.get(&healthy, &["--tlsv1.3"])?;
    ensure!(answer.complaint.contains("version"), "{answer:?}");
    for (suite, is_taken) in
        [("ECDHE-ECDSA-AES256-GCM-SHA384", true), ("ECDHE-ECDSA-AES128-GCM-SHA256", false)]
    {
        let answer = site.get(&healthy, &["--ciphers", suite])?;
        ensure!((answer.status == "200") == is_taken, "{suite}: {answer:?}");
    }
    Ok(())
}

/// The variables of the gunicorn-prometheus-exporter guide, with a directory of authorities.
#[test]
fn the_guides_variables_are_enough_for_tls_and_client_certificates() -> Result<()> {
    let site = Site::new()?;
    site.authority.sign("client", Vec::new())?;
    let authorities = site.path().join("authorities");
    std::fs::create_dir(&authorities)?;
    std::fs::write(authorities.join("README"), "not a certificate")?;
    std::fs::copy(site.file("ca.pem"), authorities.join("0a1b2c3d.0"))?;
    let server = site.start(&[
        ("PROMETHEUS_SSL_CERTFILE", &site.file("server.pem")),
        ("PROMETHEUS_SSL_KEYFILE", &site.file("server.key")),
        ("PROMETHEUS_SSL_CLIENT_CAPATH", &authorities.display().to_string()),
        ("PROMETHEUS_SSL_CLIENT_AUTH_REQUIRED", "true"),
    ])?;
    let healthy = format!("{}/-/healthy", server.url());
    ensure!(site.get(&healthy, &[])?.status == "000");
    let (cert, key) = (site.file("client.pem"), site.file("client.key"));
    ensure!(site.get(&healthy, &["--cert", &cert, "--key", &key])?.status == "200");
    Ok(())
}
