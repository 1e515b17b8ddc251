//! Where the rules stand.

use std::path::PathBuf;

/// Where the rules stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// Nowhere: plain text, and everybody may come in.
    #[default]
    Open,
    /// In a `web.config.yml`.
    File(PathBuf),
    /// In certificate files alone, as the gunicorn-prometheus-exporter guide's `PROMETHEUS_SSL_*` name them.
    Certificates(CertificateFiles),
}

/// TLS without a `web.config.yml`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The server's certificate, with those between it and its authority behind it.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Authorities of clients, in one file.
    pub client_ca: Option<PathBuf>,
    /// Authorities of clients, in the files of a directory.
    pub client_ca_directory: Option<PathBuf>,
    /// Whether clients must show a certificate of these authorities.
    pub is_client_auth_required: bool,
}
