//! `tls_server_config`, key by key, and the certificate files that stand for it.

use std::path::{Path, PathBuf};

use super::{Problems, document::Section};
use crate::{
    CertificateFiles,
    files::Files,
    tls::{ClientAuth, Pem, TlsChoice, Versions, names},
};

const KEYS: [&str; 13] = [
    "cert",
    "key",
    "client_ca",
    "cert_file",
    "key_file",
    "client_ca_file",
    "client_auth_type",
    "client_allowed_sans",
    "min_version",
    "max_version",
    "cipher_suites",
    "prefer_server_cipher_suites",
    "curve_preferences",
];

/// Keys that ask for TLS; the others only shape it.
const ENABLING: [&str; 7] =
    ["cert", "key", "client_ca", "cert_file", "key_file", "client_ca_file", "client_auth_type"];

/// Reads the section; nothing if it does not ask for TLS.
pub(super) fn of_section(
    section: &Section<'_>,
    directory: &Path,
    http2: bool,
    files: &Files,
    problems: &Problems,
) -> Option<TlsChoice> {
    section.only(&KEYS);
    if !ENABLING.iter().any(|key| section.text(key).is_some()) {
        return None;
    }
    let pem = |key: &str| pem(section, key, directory, files, problems);
    let missing = |key: &str| {
        problems.add(section.place(key), format!("one of {key} and {key}_file is expected"));
        None
    };
    let has = |key: &str| section.node(key).is_some() || section.node(&format!("{key}_file")).is_some();
    let cert = if has("cert") { pem("cert") } else { missing("cert") };
    let key = if has("key") { pem("key") } else { missing("key") };
    let client_ca = pem("client_ca");
    let words = |key: &str| section.list(key).unwrap_or_default();
    let auth = section.text("client_auth_type").map_or(Ok(ClientAuth::NoClientCert), |text| text.parse());
    let auth: Option<ClientAuth> = problems.take::<ClientAuth>(&section.place("client_auth_type"), auth);
    let sans = section.list("client_allowed_sans");
    let auth = auth.and_then(|auth| {
        let fits = auth.check(client_ca.is_some() || has("client_ca"), sans.is_some());
        problems.take(&section.place("client_auth_type"), fits.map(|()| auth))
    });
    let versions = Versions::read(section.text("min_version"), section.text("max_version"));
    let versions = problems.take(&section.place("min_version"), versions);
    let suites = names::cipher_suites(&words("cipher_suites"));
    let suites = problems.take(&section.place("cipher_suites"), suites);
    let groups = names::curves(&words("curve_preferences"));
    let groups = problems.take(&section.place("curve_preferences"), groups);
    let prefers_own_order = section.flag("prefer_server_cipher_suites").unwrap_or(true);
    Some(TlsChoice {
        cert: cert?,
        key: key?,
        client_ca: client_ca.into_iter().collect(),
        client_auth: auth?,
        allowed_sans: sans,
        versions: versions?,
        suites: suites?,
        groups: groups?,
        prefers_own_order,
        http2,
    })
}

/// Certificate files as a choice with Go's defaults.
pub(super) fn of_files(named: &CertificateFiles, files: &Files, problems: &Problems) -> Option<TlsChoice> {
    let read = |path: &PathBuf| {
        let place = path.display().to_string();
        let text = problems.take(&place, files.read(path).map_err(|cause| cause.to_string()))?;
        Some(Pem { place, text })
    };
    let mut client_ca: Vec<Pem> = named.client_ca.iter().filter_map(read).collect();
    if let Some(directory) = &named.client_ca_directory {
        let listed = files.list(directory).map_err(|cause| cause.to_string());
        let listed = problems.take(&directory.display().to_string(), listed).unwrap_or_default();
        // Directories of authorities also hold readme files and lists of what was revoked.
        let is_certificate =
            |pem: &Pem| pem.text.windows(27).any(|part| part == b"-----BEGIN CERTIFICATE-----");
        client_ca.extend(listed.iter().filter_map(read).filter(is_certificate));
    }
    let client_auth = match named.is_client_auth_required {
        true => ClientAuth::RequireAndVerifyClientCert,
        false => ClientAuth::NoClientCert,
    };
    if named.is_client_auth_required && client_ca.is_empty() {
        problems.add("client authentication", "no certificate of an authority of clients was found");
    }
    let (cert, key) = (read(&named.cert), read(&named.key));
    Some(TlsChoice { client_ca, client_auth, ..TlsChoice::new(cert?, key?) })
}

/// The text under `key`, or the contents of the file under `<key>_file`.
fn pem(
    section: &Section<'_>,
    key: &str,
    directory: &Path,
    files: &Files,
    problems: &Problems,
) -> Option<Pem> {
    let file_key = format!("{key}_file");
    match (section.text(key), section.text(&file_key)) {
        (Some(_), Some(_)) => {
            problems.add(section.place(key), format!("both {key} and {file_key} are given; keep one"));
            None
        }
        (Some(text), None) => Some(Pem { place: key.to_owned(), text: text.into_bytes() }),
        (None, Some(file)) => {
            let path = directory.join(file);
            let place = format!("{file_key} {}", path.display());
            let text = files.read(&path).map_err(|cause| format!("{}: {cause}", path.display()));
            Some(Pem { place, text: problems.take(&section.place(&file_key), text)? })
        }
        (None, None) => None,
    }
}
