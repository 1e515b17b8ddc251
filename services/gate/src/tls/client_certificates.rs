//! What clients must show, by Go's names.

use std::{net::IpAddr, str::FromStr, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, UnixTime},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::web::suggestion;

/// `client_auth_type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ClientAuth {
    /// No certificate is asked for.
    #[default]
    NoClientCert,
    /// One is asked for, and any or none will do.
    RequestClientCert,
    /// One must be shown, by whomever it was signed.
    RequireAnyClientCert,
    /// If one is shown, a known authority must have signed it.
    VerifyClientCertIfGiven,
    /// One must be shown that a known authority has signed.
    RequireAndVerifyClientCert,
}

const NAMES: [(&str, ClientAuth); 6] = [
    ("NoClientCert", ClientAuth::NoClientCert),
    ("RequestClientCert", ClientAuth::RequestClientCert),
    ("RequireAnyClientCert", ClientAuth::RequireAnyClientCert),
    ("VerifyClientCertIfGiven", ClientAuth::VerifyClientCertIfGiven),
    ("RequireAndVerifyClientCert", ClientAuth::RequireAndVerifyClientCert),
    // An older name of RequireAnyClientCert.
    ("RequireClientCert", ClientAuth::RequireAnyClientCert),
];

impl FromStr for ClientAuth {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = NAMES.iter().find(|(name, _)| *name == text);
        let names = NAMES.map(|(name, _)| name);
        known
            .map(|(_, auth)| *auth)
            .ok_or_else(|| format!("{text:?} is none of {}{}", names.join(", "), suggestion(text, &names)))
    }
}

impl ClientAuth {
    pub(crate) fn name(self) -> &'static str {
        NAMES.iter().find(|(_, auth)| *auth == self).map_or("", |(name, _)| name)
    }

    /// Whether this goes together with authorities, and with names to be allowed.
    pub(crate) fn check(self, has_authorities: bool, has_sans: bool) -> Result<(), &'static str> {
        match self {
            ClientAuth::NoClientCert if has_authorities => {
                Err("client_ca does nothing without a client_auth_type; use RequireAndVerifyClientCert")
            }
            ClientAuth::VerifyClientCertIfGiven | ClientAuth::RequireAndVerifyClientCert
                if !has_authorities =>
            {
                Err(
                    "there is nothing to verify certificates of clients with; name a client_ca or client_ca_file",
                )
            }
            ClientAuth::RequireAnyClientCert | ClientAuth::RequireAndVerifyClientCert => Ok(()),
            _ if has_sans => {
                Err("client_allowed_sans would be ignored whenever a client shows no certificate; use \
                                  RequireAndVerifyClientCert")
            }
            _ => Ok(()),
        }
    }
}

/// Verifies certificates of clients as [`ClientAuth`] says.
#[derive(Debug)]
pub(super) struct ClientCertificates {
    /// Checks the signatures of authorities, where that is asked for.
    authorities: Option<Arc<dyn ClientCertVerifier>>,
    is_mandatory: bool,
    allowed_sans: Option<Vec<String>>,
    provider: Arc<CryptoProvider>,
}

impl ClientCertificates {
    pub(super) fn new(
        auth: ClientAuth,
        authorities: RootCertStore,
        allowed_sans: Option<Vec<String>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let verifies =
            matches!(auth, ClientAuth::VerifyClientCertIfGiven | ClientAuth::RequireAndVerifyClientCert);
        let authorities = verifies.then(|| {
            WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider.clone()).build()
        });
        Ok(ClientCertificates {
            authorities: authorities.transpose().map_err(|error| format!("client_ca: {error}"))?,
            is_mandatory: matches!(
                auth,
                ClientAuth::RequireAnyClientCert | ClientAuth::RequireAndVerifyClientCert
            ),
            allowed_sans,
            provider: provider.clone(),
        })
    }
}

impl ClientCertVerifier for ClientCertificates {
    fn client_auth_mandatory(&self) -> bool {
        self.is_mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.authorities.as_ref().map_or(&[], |authorities| authorities.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(authorities) = &self.authorities {
            authorities.verify_client_cert(end_entity, intermediates, now)?;
        }
        if let Some(allowed) = &self.allowed_sans {
            let names = names(end_entity)?;
            if !names.iter().any(|name| allowed.contains(name)) {
                tracing::debug!(?names, "no name of the client's certificate is in client_allowed_sans");
                return Err(CertificateError::ApplicationVerificationFailure.into());
            }
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The alternative names of a certificate - hosts, addresses of mail and IP, URIs - as Go prints them.
fn names(certificate: &CertificateDer<'_>) -> Result<Vec<String>, Error> {
    let bad = || Error::from(CertificateError::BadEncoding);
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| bad())?;
    let extension = parsed.subject_alternative_name().map_err(|_| bad())?;
    let names = extension.into_iter().flat_map(|extension| &extension.value.general_names);
    Ok(names.filter_map(text).collect())
}

fn text(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) => {
            Some((*text).to_owned())
        }
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
        _ => None,
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    #[test]
    fn every_name_of_go_is_known_and_others_get_a_suggestion() {
        for (name, auth) in NAMES {
            assert_eq!(name.parse(), Ok(auth));
        }
        let error = "RequireAndVerifyClientCerts".parse::<ClientAuth>().expect_err("no such name");
        assert!(error.contains("did you mean RequireAndVerifyClientCert?"), "{error}");
    }

    #[test]
    fn combinations_that_would_ignore_a_setting_are_refused() {
        for (auth, has_authorities, has_sans, is_good) in [
            (ClientAuth::NoClientCert, false, false, true),
            (ClientAuth::NoClientCert, true, false, false),
            (ClientAuth::NoClientCert, false, true, false),
            (ClientAuth::RequestClientCert, true, false, true),
            (ClientAuth::RequestClientCert, false, true, false),
            (ClientAuth::RequireAnyClientCert, false, true, true),
            (ClientAuth::VerifyClientCertIfGiven, true, false, true),
            (ClientAuth::VerifyClientCertIfGiven, false, false, false),
            (ClientAuth::VerifyClientCertIfGiven, true, true, false),
            (ClientAuth::RequireAndVerifyClientCert, true, true, true),
            (ClientAuth::RequireAndVerifyClientCert, false, true, false),
        ] {
            assert_eq!(
                auth.check(has_authorities, has_sans).is_ok(),
                is_good,
                "{auth:?} {has_authorities} {has_sans}"
            );
        }
    }

    #[test]
    fn names_of_every_kind_are_read_as_go_prints_them() {
        let mut params = CertificateParams::new(["host.example".to_owned()]).expect("a name");
        let ia5 = |text: &str| text.try_into().expect("ASCII");
        params.subject_alt_names.extend([
            SanType::Rfc822Name(ia5("ops@example.org")),
            SanType::URI(ia5("spiffe://shop/worker")),
            SanType::IpAddress("10.0.0.7".parse().expect("an address")),
            SanType::IpAddress("2001:db8::7".parse().expect("an address")),
        ]);
        let certificate = params.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate");
        let found = names(certificate.der()).expect("readable");
        assert_eq!(
            found,
            ["host.example", "ops@example.org", "spiffe://shop/worker", "10.0.0.7", "2001:db8::7"]
        );
    }
}
