//! One configuration of TLS for new connections.

use std::{sync::Arc, time::Duration};

use rustls::{
    RootCertStore, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion,
    crypto::{CryptoProvider, SupportedKxGroup, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    version::{TLS12, TLS13},
};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{ClientAuth, client_certificates::ClientCertificates};
use crate::web::suggestion;

/// Certificates or a key, and where they stand.
pub(crate) struct Pem {
    /// What a reader of an error looks for: a key of the configuration, a file.
    pub(crate) place: String,
    pub(crate) text: Vec<u8>,
}

/// Everything that was chosen, with the contents of the files.
pub(crate) struct TlsChoice {
    pub(crate) cert: Pem,
    pub(crate) key: Pem,
    pub(crate) client_ca: Vec<Pem>,
    pub(crate) client_auth: ClientAuth,
    pub(crate) allowed_sans: Option<Vec<String>>,
    pub(crate) versions: Versions,
    pub(crate) suites: Vec<SupportedCipherSuite>,
    pub(crate) groups: Vec<&'static dyn SupportedKxGroup>,
    pub(crate) prefers_own_order: bool,
    pub(crate) http2: bool,
}

impl TlsChoice {
    /// The defaults for a certificate and its key.
    pub(crate) fn new(cert: Pem, key: Pem) -> TlsChoice {
        TlsChoice {
            cert,
            key,
            client_ca: Vec::new(),
            client_auth: ClientAuth::NoClientCert,
            allowed_sans: None,
            versions: Versions::default(),
            suites: ring::ALL_CIPHER_SUITES.to_vec(),
            groups: ring::ALL_KX_GROUPS.to_vec(),
            prefers_own_order: true,
            http2: true,
        }
    }
}

/// Which versions of TLS are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Versions {
    has_12: bool,
    has_13: bool,
}

impl Default for Versions {
    fn default() -> Self {
        Versions { has_12: true, has_13: true }
    }
}

impl Versions {
    /// From Go's names.
    pub(crate) fn read(min: Option<String>, max: Option<String>) -> Result<Versions, String> {
        let (min, max) = (min.as_deref().unwrap_or("TLS12"), max.as_deref().unwrap_or("TLS13"));
        let (least, most) = (number(min)?, number(max)?);
        match least <= most {
            true => Ok(Versions { has_12: least == 12, has_13: most == 13 }),
            false => Err(format!("min_version {min} is above max_version {max}")),
        }
    }

    fn spoken(self) -> Vec<&'static SupportedProtocolVersion> {
        let spoken = [(self.has_13, &TLS13), (self.has_12, &TLS12)];
        spoken.into_iter().filter_map(|(is_spoken, version)| is_spoken.then_some(version)).collect()
    }
}

fn number(name: &str) -> Result<u8, String> {
    match name {
        "TLS12" => Ok(12),
        "TLS13" => Ok(13),
        "TLS10" | "TLS11" => Err(format!(
            "{name} is not spoken: TLS 1.0 and 1.1 are broken and rustls has neither; use TLS12 or TLS13"
        )),
        _ => Err(format!("unknown version {name:?}{}", suggestion(name, &["TLS12", "TLS13"]))),
    }
}

/// TLS for new connections.
#[derive(Debug)]
pub(crate) struct Tls {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) client_auth: ClientAuth,
    /// When the server's certificate expires, since 1970.
    pub(crate) expires: Duration,
    pub(crate) http2: bool,
}

impl Tls {
    /// Puts a choice together.
    pub(crate) fn new(choice: TlsChoice) -> Result<Tls, String> {
        let provider = CryptoProvider {
            cipher_suites: choice.suites,
            kx_groups: choice.groups,
            ..ring::default_provider()
        };
        let provider = Arc::new(provider);
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&choice.versions.spoken())
            .map_err(|error| error.to_string())?;
        let builder = match choice.client_auth {
            ClientAuth::NoClientCert => builder.with_no_client_auth(),
            auth => {
                let authorities = authorities(&choice.client_ca)?;
                let verifier = ClientCertificates::new(auth, authorities, choice.allowed_sans, &provider)?;
                builder.with_client_cert_verifier(Arc::new(verifier))
            }
        };
        let (cert, key) = (&choice.cert.place, &choice.key.place);
        let chain = certificates(&choice.cert)?;
        let first = chain.first().and_then(expiry);
        let expires = first.ok_or_else(|| format!("{cert}: it cannot be read as a certificate"))?;
        let secret = PrivateKeyDer::from_pem_slice(&choice.key.text);
        let secret = secret.map_err(|error| format!("{key}: {error}"))?;
        let mut config =
            builder.with_single_cert(chain, secret).map_err(|error| format!("{cert} and {key}: {error}"))?;
        config.ignore_client_order = choice.prefers_own_order;
        config.alpn_protocols = match choice.http2 {
            true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            false => vec![b"http/1.1".to_vec()],
        };
        let (client_auth, http2) = (choice.client_auth, choice.http2);
        Ok(Tls { config: Arc::new(config), client_auth, expires, http2 })
    }
}

fn authorities(pems: &[Pem]) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for pem in pems {
        for certificate in certificates(pem)? {
            store.add(certificate).map_err(|error| format!("{}: {error}", pem.place))?;
        }
    }
    Ok(store)
}

fn certificates(Pem { place, text }: &Pem) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    let certificates = read.map_err(|error| format!("{place}: {error}"))?;
    match certificates.is_empty() {
        true => Err(format!("{place}: it holds no certificate")),
        false => Ok(certificates),
    }
}

fn expiry(certificate: &CertificateDer<'static>) -> Option<Duration> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let seconds = parsed.validity().not_after.timestamp();
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(min: &str, max: &str) -> Result<Versions, String> {
        Versions::read(Some(min.into()), Some(max.into()))
    }

    #[test]
    fn versions_are_a_range_of_those_that_rustls_speaks() {
        assert_eq!(Versions::read(None, None), Ok(Versions::default()));
        assert_eq!(versions("TLS13", "TLS13"), Ok(Versions { has_12: false, has_13: true }));
        assert_eq!(versions("TLS12", "TLS12"), Ok(Versions { has_12: true, has_13: false }));
        for (min, max, reason) in [
            ("TLS13", "TLS12", "above"),
            ("TLS10", "TLS13", "broken"),
            ("TLS12", "TLS11", "broken"),
            ("TLS12", "TLS14", "did you mean TLS1"),
            ("SSL3", "TLS13", "unknown version"),
        ] {
            let error = versions(min, max).expect_err(min);
            assert!(error.contains(reason), "{error}");
        }
    }
}
