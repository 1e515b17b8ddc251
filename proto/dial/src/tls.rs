//! TLS from files.

use std::{path::Path, sync::Arc};

use fred::{
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
    rustls_native_certs,
    types::config::{TlsConfig, TlsConnector},
};

use crate::{DialError, address::TlsFiles};

/// Reads the files; later changes to them need another call.
pub(crate) fn config(files: &TlsFiles) -> Result<TlsConfig, DialError> {
    // Named, so that another crate that brings another provider changes nothing here.
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|cause| DialError::Invalid(format!("no version of TLS can be used: {cause}")))?
        .with_root_certificates(roots(files)?);
    let config = match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => {
            let own = PrivateKeyDer::from_pem_file(key).map_err(|cause| unreadable("key", key, cause))?;
            config.with_client_auth_cert(certificates("cert", cert)?, own).map_err(|cause| {
                DialError::Invalid(format!("cert and key of the address do not fit: {cause}"))
            })?
        }
        _ => config.with_no_client_auth(),
    };
    Ok(TlsConnector::from(config).into())
}

fn roots(files: &TlsFiles) -> Result<RootCertStore, DialError> {
    let mut roots = RootCertStore::empty();
    match &files.ca {
        Some(path) => {
            for certificate in certificates("ca", path)? {
                roots.add(certificate).map_err(|cause| unreadable("ca", path, cause))?;
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                let hint = "the system has no certificates of authorities; name a file by ?ca=/file.pem";
                return Err(DialError::Invalid(hint.into()));
            }
        }
    }
    Ok(roots)
}

fn certificates(option: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, DialError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.map_err(|cause| unreadable(option, path, cause))?;
    match certificates.is_empty() {
        true => Err(unreadable(option, path, "it holds no certificate")),
        false => Ok(certificates),
    }
}

fn unreadable(option: &str, path: &Path, cause: impl std::fmt::Display) -> DialError {
    DialError::Invalid(format!("the file {} (option {option} of the address): {cause}", path.display()))
}
