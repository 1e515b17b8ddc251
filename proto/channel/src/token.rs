//! The token that a caller shows.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::Interceptor,
};

use crate::ChannelError;

/// How long a token that was read from a file is used before the file is read again: a token that is replaced is in use
/// soon after, and a push does not cost a read.
const REREAD_INTERVAL: Duration = Duration::from_secs(5);

/// A token, a file that holds one, or none. Its `Debug` shows no secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Token(Source);

#[derive(Clone, Default, PartialEq, Eq)]
enum Source {
    #[default]
    None,
    Given(String),
    File(PathBuf),
}

impl Token {
    /// From a token or a file, of which at most one may be given.
    ///
    /// # Errors
    /// If both are, or the token cannot stand in a header.
    pub fn new(token: Option<String>, file: Option<PathBuf>) -> Result<Token, ChannelError> {
        Ok(Token(match (token, file) {
            (Some(_), Some(file)) => return Err(ChannelError::TwoTokens(file)),
            (Some(token), None) => {
                header(&token).ok_or(ChannelError::Token)?;
                Source::Given(token)
            }
            (None, Some(file)) => Source::File(file),
            (None, None) => Source::None,
        }))
    }
}

impl Token {
    /// The header `authorization` with this token, read from its file now; `None` without a token.
    ///
    /// # Errors
    /// If the file cannot be read, or holds no token.
    pub fn authorization(&self) -> Result<Option<MetadataValue<Ascii>>, String> {
        Bearer::new(self.clone()).header()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::None => f.write_str("none"),
            Source::Given(_) => f.write_str("***"),
            Source::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

/// `Bearer …`, marked so that no layer prints it.
fn header(token: &str) -> Option<MetadataValue<Ascii>> {
    let is_visible = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    let mut value: MetadataValue<Ascii> = is_visible.then(|| format!("Bearer {token}"))?.parse().ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Puts the token into every call.
#[derive(Clone, Debug)]
pub struct Bearer {
    token: Token,
    read: Arc<Mutex<Option<Read>>>,
}

/// When a file was read, and what it held.
type Read = (Instant, MetadataValue<Ascii>);

impl Bearer {
    pub(crate) fn new(token: Token) -> Self {
        Bearer { token, read: Arc::default() }
    }

    fn header(&self) -> Result<Option<MetadataValue<Ascii>>, String> {
        match &self.token.0 {
            Source::None => Ok(None),
            Source::Given(token) => Ok(header(token)),
            Source::File(path) => {
                let mut read = self.read.lock();
                let fresh = read.as_ref().filter(|(at, _)| at.elapsed() < REREAD_INTERVAL);
                if let Some((_, value)) = fresh {
                    return Ok(Some(value.clone()));
                }
                let value = from_file(path)?;
                *read = Some((Instant::now(), value.clone()));
                Ok(Some(value))
            }
        }
    }
}

fn from_file(path: &Path) -> Result<MetadataValue<Ascii>, String> {
    let problem = |reason: String| format!("the token file {}: {reason}", path.display());
    let text = std::fs::read_to_string(path).map_err(|cause| problem(cause.to_string()))?;
    header(text.trim()).ok_or_else(|| problem(ChannelError::Token.to_string()))
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = self.header().map_err(Status::unauthenticated)? {
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_given_or_in_a_file_and_shown_nowhere() {
        let given = Token::new(Some("hunter2".into()), None).expect("good");
        assert_eq!(format!("{given:?}"), "***");
        let header = Bearer::new(given).header().expect("good").expect("given");
        assert_eq!(header, "Bearer hunter2");
        assert!(!format!("{header:?}").contains("hunter2"));
        assert!(Bearer::new(Token::default()).header().expect("good").is_none());
        assert!(Token::new(Some("a".into()), Some("/b".into())).is_err());
        for bad in ["", "a b", "a\n", "ä"] {
            assert_eq!(Token::new(Some(bad.into()), None), Err(ChannelError::Token), "{bad:?}");
        }
    }

    #[test]
    fn a_token_file_is_read_at_the_call_and_named_if_it_cannot_be() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("token");
        let bearer = Bearer::new(Token::new(None, Some(path.clone())).expect("good"));
        let error = bearer.header().expect_err("not there yet");
        assert!(error.contains(&path.display().to_string()), "{error}");
        std::fs::write(&path, "secret\n").expect("written");
        assert_eq!(bearer.header().expect("readable").expect("there"), "Bearer secret");
    }
}
