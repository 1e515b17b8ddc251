//! Where values go.

use std::path::PathBuf;

use metrifold_channel::{ChannelError, HttpsAddress};
use metrifold_redis::{RedisAddress, RedisError};

/// Where a pusher brings its values, as `METRIFOLD_TARGET` names it.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    /// `local:DIR`: a segment in this directory (`None`, or nothing after the colon: the user's default directory), held
    /// by a local Metrifold.
    Local(Option<PathBuf>),
    /// `http://host:port`: a collector's gRPC door.
    Http(String),
    /// `https://host:port[?ca=/file.pem][&cert=/file.pem&key=/file.pem]`: the same over TLS.
    Https(HttpsAddress),
    /// `unix:/path`: a collector's socket on this host.
    Unix(PathBuf),
    /// `redis://…`, `rediss://…`, `redis-sentinel://…`, `redis-cluster://…` and so on: straight to the store.
    Redis(RedisAddress),
}

/// A target that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Not one of the known forms.
    #[error(
        "target {given:?} is none of local:DIR, http://HOST:PORT, https://HOST:PORT, unix:/PATH, redis://HOST:PORT (or rediss, \
         redis-sentinel, redis-cluster); set METRIFOLD_TARGET to one of these"
    )]
    Unknown {
        /// What was given, without its password.
        given: String,
    },
    /// The right scheme with something wrong behind it.
    #[error("target {given:?}: {reason}")]
    Invalid {
        /// What was given, without its password.
        given: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl std::str::FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let given = || without_password(text);
        let invalid = |reason: &str| TargetError::Invalid { given: given(), reason: reason.into() };
        let (scheme, rest) = text.split_once(':').ok_or_else(|| TargetError::Unknown { given: given() })?;
        match scheme {
            "local" => Ok(Target::Local((!rest.is_empty()).then(|| rest.into()))),
            "unix" if rest.starts_with('/') => Ok(Target::Unix(rest.into())),
            "unix" => Err(invalid("a socket needs an absolute path, as in unix:/run/metrifold.sock")),
            "https" => {
                text.parse().map(Target::Https).map_err(|reason: ChannelError| invalid(&reason.to_string()))
            }
            "http" => http(text).map_err(|reason| invalid(&reason)),
            _ if scheme.starts_with("redis") => {
                text.parse().map(Target::Redis).map_err(|reason: RedisError| invalid(&reason.to_string()))
            }
            _ => Err(TargetError::Unknown { given: given() }),
        }
    }
}

fn http(text: &str) -> Result<Target, String> {
    let url = url::Url::parse(text).map_err(|error| error.to_string())?;
    if url.host().is_none() {
        return Err("there is no host".into());
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || !url.username().is_empty() {
        return Err("only a host and a port may be given".into());
    }
    Ok(Target::Http(text.trim_end_matches('/').into()))
}

/// What may be shown of a target.
fn without_password(text: &str) -> String {
    match url::Url::parse(text) {
        Ok(mut url) if url.password().is_some() => {
            // Refused only for addresses that cannot have a password.
            let _ = url.set_password(Some("***"));
            url.into()
        }
        // Not an address: whatever stands before an `@` may be a secret.
        Err(_) if text.contains('@') => format!("***{}", &text[text.rfind('@').unwrap_or(0)..]),
        _ => text.into(),
    }
}

/// The target without its password.
impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Target::Local(None) => write!(f, "local:{}", metrifold_segment::default_path().display()),
            Target::Local(Some(directory)) => write!(f, "local:{}", directory.display()),
            Target::Unix(path) => write!(f, "unix:{}", path.display()),
            Target::Https(address) => write!(f, "{address}"),
            Target::Http(url) => f.write_str(&without_password(url)),
            Target::Redis(address) => write!(f, "{address}"),
        }
    }
}

/// As [`Display`](std::fmt::Display), so that no log shows a password.
impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        let table = [
            ("local:", Target::Local(None)),
            ("local:/dev/shm/m", Target::Local(Some("/dev/shm/m".into()))),
            ("http://127.0.0.1:9091/", Target::Http("http://127.0.0.1:9091".into())),
            ("http://[::1]:9091", Target::Http("http://[::1]:9091".into())),
            (
                "https://h:9091?ca=/ca.pem",
                Target::Https("https://h:9091?ca=/ca.pem".parse().expect("an address")),
            ),
            ("unix:/run/m.sock", Target::Unix("/run/m.sock".into())),
            (
                "redis://:secret@r:6380/3",
                Target::Redis("redis://:secret@r:6380/3".parse().expect("an address")),
            ),
        ];
        for (text, target) in table {
            assert_eq!(text.parse(), Ok(target));
        }
    }

    #[test]
    fn a_bad_target_is_refused_with_what_to_do() {
        let table = [
            ("nonsense", "METRIFOLD_TARGET"),
            ("ftp://x", "none of local:DIR"),
            ("unix:relative", "absolute path"),
            ("http://", "host"),
            ("http://h:99999", "port"),
            ("http://h/path", "only a host and a port"),
            ("redis://h/zero", "no number from 0 to 255"),
            ("https://h?cert=/c.pem", "together"),
            ("redis-cluster://h/3", "only database 0"),
            ("redis-what://h", "scheme that is not known"),
        ];
        for (text, part) in table {
            let error = text.parse::<Target>().expect_err(text).to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn no_text_shows_a_password() {
        let target: Target = "redis://user:hunter2@r:6379".parse().expect("valid");
        let wrong = "redis://user:hunter2@r/x".parse::<Target>().expect_err("no database");
        let worse = "redis://user:hunter2@r:port".parse::<Target>().expect_err("no port");
        for text in [target.to_string(), format!("{target:?}"), wrong.to_string(), worse.to_string()] {
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}
