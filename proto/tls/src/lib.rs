//! A client's side of TLS from files: authorities to trust, and a certificate of its own.
//!
//! Every address that this project understands - of Redis, of a collector - names the same three files by the options
//! `ca`, `cert` and `key`, and they mean the same.
//!
//! ```
//! use metrifold_tls::TlsFiles;
//!
//! let files = TlsFiles { ca: Some("/nowhere/ca.pem".into()), ..TlsFiles::default() };
//! let error = files.client_config().expect_err("there is no such file");
//! assert!(error.to_string().contains("/nowhere/ca.pem"));
//! ```

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// Files in PEM form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The only authorities to trust; none: those of the system.
    pub ca: Option<PathBuf>,
    /// The client's certificate.
    pub cert: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
}

/// Why the files cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or not as what it should be.
    #[error("the file {} (option {option} of the address): {reason}", path.display())]
    File {
        /// `ca`, `cert` or `key`.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// No file names authorities, and the system has none.
    #[error("the system has no certificates of authorities; name a file by ?ca=/file.pem")]
    NoAuthorities,
    /// One of `cert` and `key` without the other.
    #[error("cert and key must be given together")]
    Half,
    /// The key is not that of the certificate.
    #[error("cert and key of the address do not fit: {0}")]
    Mismatch(String),
    /// Our own provider speaks no version.
    #[error("no version of TLS can be used: {0}")]
    Versions(String),
}

impl TlsFiles {
    /// The place of the file that the option `name` of an address gives; `None` if there is no such option.
    pub fn option(&mut self, name: &str) -> Option<&mut Option<PathBuf>> {
        match name {
            "ca" => Some(&mut self.ca),
            "cert" => Some(&mut self.cert),
            "key" => Some(&mut self.key),
            _ => None,
        }
    }

    /// Checks what can be checked without reading.
    ///
    /// # Errors
    /// [`TlsError::Half`].
    pub fn check(&self) -> Result<(), TlsError> {
        match self.cert.is_some() == self.key.is_some() {
            true => Ok(()),
            false => Err(TlsError::Half),
        }
    }

    /// Reads the files; later changes to them need another call.
    ///
    /// # Errors
    /// Which file cannot be used, and why.
    pub fn client_config(&self) -> Result<ClientConfig, TlsError> {
        self.check()?;
        // Named, so that another crate that brings another provider changes nothing here.
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|cause| TlsError::Versions(cause.to_string()))?
            .with_root_certificates(self.roots()?);
        match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => {
                let own = PrivateKeyDer::from_pem_file(key).map_err(|cause| unreadable("key", key, cause))?;
                let config = config.with_client_auth_cert(certificates("cert", cert)?, own);
                config.map_err(|cause| TlsError::Mismatch(cause.to_string()))
            }
            _ => Ok(config.with_no_client_auth()),
        }
    }

    fn roots(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        match &self.ca {
            Some(path) => {
                for certificate in certificates("ca", path)? {
                    roots.add(certificate).map_err(|cause| unreadable("ca", path, cause))?;
                }
            }
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                if roots.is_empty() {
                    return Err(TlsError::NoAuthorities);
                }
            }
        }
        Ok(roots)
    }
}

fn certificates(option: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.map_err(|cause| unreadable(option, path, cause))?;
    match certificates.is_empty() {
        true => Err(unreadable(option, path, "it holds no certificate")),
        false => Ok(certificates),
    }
}

fn unreadable(option: &'static str, path: &Path, cause: impl std::fmt::Display) -> TlsError {
    TlsError::File { option, path: path.to_owned(), reason: cause.to_string() }
}
