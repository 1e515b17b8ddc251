//! TLS with an authority of our own, with and without client certificates.

use std::path::Path;

use metrifold_redis::RedisError;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::support::{AMPLE, Server, client, client_within, command, shown};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(directory: &Path, name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    let issuer =
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate");
    std::fs::write(directory.join(format!("{name}.pem")), issuer.pem()).expect("written");
    issuer
}

/// `<name>.pem` and `<name>.key` for this host.
fn certificate(directory: &Path, name: &str, host: &str, authority: &Authority) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new([host.to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, authority).expect("a certificate");
    std::fs::write(directory.join(format!("{name}.pem")), certificate.pem()).expect("written");
    std::fs::write(directory.join(format!("{name}.key")), key.serialize_pem()).expect("written");
}

struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    /// An authority, another one, and certificates of the first for the server and a client.
    fn make(host: &str) -> Files {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let ours = authority(directory.path(), "ca");
        authority(directory.path(), "stranger");
        certificate(directory.path(), "server", host, &ours);
        certificate(directory.path(), "client", "worker", &ours);
        Files { directory }
    }

    fn path(&self, name: &str) -> String {
        shown(&self.directory.path().join(name))
    }

    fn server(&self, wants_clients: &str) -> Server {
        let (cert, key, ca) = (self.path("server.pem"), self.path("server.key"), self.path("ca.pem"));
        Server::start(&[
            "--port",
            "0",
            "--tls-port",
            "{port}",
            "--tls-cert-file",
            &cert,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &ca,
            "--tls-auth-clients",
            wants_clients,
        ])
    }
}

#[tokio::test]
async fn an_own_authority_is_trusted_and_no_other() {
    let files = Files::make("localhost");
    let server = files.server("no");
    let address = |ca: &str| format!("rediss://localhost:{}?ca={}", server.port, files.path(ca));
    command(&client(&address("ca.pem")), &["SET", "x", "1"]).await.expect("the authority is ours");
    let error = command(&client(&address("stranger.pem")), &["GET", "x"]).await.expect_err("not ours");
    assert!(error.to_string().contains("certificate"), "{error}");
    let elsewhere = format!("rediss://127.0.0.1:{}?ca={}", server.port, files.path("ca.pem"));
    let error =
        command(&client(&elsewhere), &["GET", "x"]).await.expect_err("the certificate is for localhost");
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[tokio::test]
async fn a_server_that_wants_a_client_certificate_gets_it() {
    let files = Files::make("localhost");
    let server = files.server("yes");
    let bare = format!("rediss://localhost:{}?ca={}", server.port, files.path("ca.pem"));
    let own = format!("{bare}&cert={}&key={}", files.path("client.pem"), files.path("client.key"));
    command(&client(&own), &["SET", "x", "1"]).await.expect("we have one");
    assert!(matches!(command(&client(&bare), &["GET", "x"]).await, Err(RedisError::Unavailable(_))));
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let files = Files::make("localhost");
    let (missing, ca, key) = (files.path("missing.pem"), files.path("ca.pem"), files.path("client.key"));
    for (options, part) in [
        (format!("ca={missing}"), "missing.pem"),
        (format!("ca={key}"), "no certificate"),
        (format!("cert={ca}&key={missing}"), "missing.pem"),
        (format!("cert={ca}&key={key}"), "do not fit"),
    ] {
        let Err(error) = client_within(&format!("rediss://localhost?{options}"), AMPLE) else {
            panic!("{options} cannot be used")
        };
        assert!(matches!(error, RedisError::Invalid(_)) && error.to_string().contains(part), "{error}");
    }
}
