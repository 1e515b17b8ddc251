//! Authorities and certificates, made for one test.

use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType, date_time_ymd,
};

/// An authority whose certificate is `<name>.pem`.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: PathBuf,
}

impl Authority {
    pub(crate) fn new(directory: &Path, name: &str) -> Result<Authority> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        std::fs::write(directory.join(format!("{name}.pem")), issuer.pem())?;
        Ok(Authority { issuer, directory: directory.to_owned() })
    }

    /// `<name>.pem` and `<name>.key`, for these names.
    pub(crate) fn sign(&self, name: &str, sans: Vec<SanType>) -> Result<()> {
        self.write(name, params(sans)?)
    }

    /// As [`Authority::sign`], long expired.
    pub(crate) fn sign_expired(&self, name: &str, sans: Vec<SanType>) -> Result<()> {
        let mut params = params(sans)?;
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
        self.write(name, params)
    }

    fn write(&self, name: &str, params: CertificateParams) -> Result<()> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        std::fs::write(self.directory.join(format!("{name}.key")), key.serialize_pem())?;
        std::fs::write(self.directory.join(format!("{name}.pem")), certificate.pem())?;
        Ok(())
    }
}

fn params(sans: Vec<SanType>) -> Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = sans;
    Ok(params)
}

/// The address that servers in tests listen on.
pub(crate) fn loopback() -> SanType {
    SanType::IpAddress([127, 0, 0, 1].into())
}

/// A name of a client.
pub(crate) fn uri(text: &str) -> Result<SanType> {
    Ok(SanType::URI(text.try_into()?))
}
