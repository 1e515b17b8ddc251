//! A question to a running server, for images that have neither a shell nor curl.

use std::{path::PathBuf, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use hyper::header::HeaderValue;
use metrifold_channel::{ChannelError, Token};
use metrifold_tls::{TlsError, TlsFiles};
use rustls::pki_types::{InvalidDnsNameError, ServerName};
use url::Url;

use crate::page::{PageError, PageServer, Tls};

/// Whom to ask, and as whom. The token is taken from `METRIFOLD_TOKEN` or `METRIFOLD_TOKEN_FILE`.
#[derive(Clone, Debug)]
pub struct HealthQuestion {
    /// The page to ask, with the options `ca`, `cert` and `key` for TLS.
    pub url: Url,
    /// The name in the server's certificate, where it is asked by another.
    pub server_name: Option<String>,
    /// A user of `basic_auth_users`.
    pub user: Option<String>,
    /// The file with the user's password.
    pub password_file: Option<PathBuf>,
}

/// Why a server counts as not healthy.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// The address, without its secrets, is none.
    #[error("{0:?} is no address to ask; use http://host:port/path or https://host:port/path[?ca=/file.pem]")]
    Address(String),
    /// Its files for TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The expected name, and what is wrong with it.
    #[error("{0:?} is no name that a certificate can have: {1}")]
    ServerName(String, InvalidDnsNameError),
    /// The token cannot be used.
    #[error(transparent)]
    Token(#[from] ChannelError),
    /// What is to be shown cannot stand in a header, or its file cannot be read.
    #[error("{0}")]
    Credentials(String),
    /// The password cannot be read.
    #[error("the password file {path}: {cause}")]
    PasswordFile {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The server does not answer, or not that it is ready.
    #[error("{url}: {cause}")]
    Unhealthy {
        /// Who was asked, without secrets.
        url: String,
        /// Why.
        cause: PageError,
    },
}

/// What a server answers, if that is 200.
///
/// # Errors
/// If it is not, or the server cannot be asked.
pub async fn ask(question: &HealthQuestion) -> Result<String, HealthError> {
    let url = &question.url;
    // Without options, which name files of this machine, and without a password that somebody put there.
    let shown = format!("{}{}", url.origin().ascii_serialization(), url.path());
    let server = server(question, &shown)?;
    let answer = server.get(url.path()).await;
    answer.map_err(|cause| HealthError::Unhealthy { url: shown, cause })
}

fn server(question: &HealthQuestion, shown: &str) -> Result<PageServer, HealthError> {
    let url = &question.url;
    let wrong = || HealthError::Address(shown.to_owned());
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return Err(wrong()) };
    let files = files(url).ok_or_else(wrong)?;
    let tls = match url.scheme() {
        "https" => {
            let name = question.server_name.as_deref().unwrap_or(host).trim_matches(['[', ']']).to_owned();
            let name_of = ServerName::try_from(name.clone());
            let name = name_of.map_err(|cause| HealthError::ServerName(name, cause))?;
            Some(Tls { config: Arc::new(files.client_config()?), name })
        }
        "http" if files == TlsFiles::default() => None,
        _ => return Err(wrong()),
    };
    Ok(PageServer { address: format!("{host}:{port}"), tls, authorization: authorization(question)? })
}

/// The files that a URL names as those of other addresses do; `None` if it has anything else.
fn files(url: &Url) -> Option<TlsFiles> {
    let mut files = TlsFiles::default();
    for (name, value) in url.query_pairs() {
        *files.option(&name)? = Some(value.into_owned().into());
    }
    (url.username().is_empty() && url.password().is_none()).then_some(files)
}

/// What to show: a user's password if one is named, else the token of the environment.
fn authorization(question: &HealthQuestion) -> Result<Option<HeaderValue>, HealthError> {
    let bytes = if let (Some(user), Some(path)) = (&question.user, &question.password_file) {
        let read = std::fs::read_to_string(path);
        let password = read.map_err(|cause| HealthError::PasswordFile { path: path.clone(), cause })?;
        let pair = format!("{user}:{}", password.trim_end_matches(['\r', '\n']));
        format!("Basic {}", BASE64_STANDARD.encode(pair)).into_bytes()
    } else {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let token =
            Token::new(variable("METRIFOLD_TOKEN"), variable("METRIFOLD_TOKEN_FILE").map(Into::into))?;
        match token.authorization().map_err(HealthError::Credentials)? {
            Some(value) => value.as_encoded_bytes().to_vec(),
            None => return Ok(None),
        }
    };
    let value =
        HeaderValue::from_bytes(&bytes).map_err(|cause| HealthError::Credentials(cause.to_string()))?;
    Ok(Some(value))
}
