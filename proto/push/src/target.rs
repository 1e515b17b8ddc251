//! The address of a target.

use std::{fmt, path::PathBuf, str::FromStr};

#[cfg(feature = "grpc")]
use metrifold_channel::{ChannelError, HttpsAddress};
#[cfg(feature = "redis")]
use metrifold_redis::{RedisAddress, RedisError};

/// Where values go, as settings name it. Its texts never show a password.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    /// `local:DIR`: a segment in this directory (`None`, or nothing after the colon: the user's default directory), held
    /// by a local Metrifold.
    Local(Option<PathBuf>),
    /// `http://host:port`: a collector's gRPC door.
    #[cfg(feature = "grpc")]
    Http(String),
    /// `https://host:port[?ca=/file.pem][&cert=/file.pem&key=/file.pem]`: the same over TLS.
    #[cfg(feature = "grpc")]
    Https(HttpsAddress),
    /// `unix:/path`: a collector's socket on this host.
    #[cfg(feature = "grpc")]
    Unix(PathBuf),
    /// `redis://…`, `rediss://…`, `redis-sentinel://…`, `redis-cluster://…` and so on: straight to the store.
    #[cfg(feature = "redis")]
    Redis(RedisAddress),
}

/// A target that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Not one of the known forms.
    #[error(
        "target {given:?} is none of local:DIR, http://HOST:PORT, https://HOST:PORT, unix:/PATH, redis://HOST:PORT (or rediss, \
         redis-sentinel, redis-cluster)"
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

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let given = || without_password(text);
        let (scheme, rest) = text.split_once(':').ok_or_else(|| TargetError::Unknown { given: given() })?;
        let read = match scheme {
            "local" => Ok(Target::Local((!rest.is_empty()).then(|| rest.into()))),
            "unix" => unix(rest),
            "https" => https(text),
            "http" => http(text),
            _ if scheme.starts_with("redis") => redis(text),
            _ => return Err(TargetError::Unknown { given: given() }),
        };
        read.map_err(|reason| TargetError::Invalid { given: given(), reason })
    }
}

#[cfg(feature = "grpc")]
fn unix(path: &str) -> Result<Target, String> {
    let path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
    match path.is_absolute() {
        true => Ok(Target::Unix(path)),
        false => Err("a socket needs an absolute path, as in unix:/run/metrifold.sock".into()),
    }
}

#[cfg(feature = "grpc")]
fn https(text: &str) -> Result<Target, String> {
    text.parse().map(Target::Https).map_err(|error: ChannelError| error.to_string())
}

#[cfg(feature = "grpc")]
fn http(text: &str) -> Result<Target, String> {
    let url = url::Url::parse(text).map_err(|error| format!("{error}; use http://HOST:PORT"))?;
    if url.host().is_none() {
        return Err("there is no host; use http://HOST:PORT".into());
    }
    let is_bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    if !is_bare || !url.username().is_empty() || url.password().is_some() {
        return Err("only a host and a port may be given; a token is a setting of its own".into());
    }
    Ok(Target::Http(text.trim_end_matches('/').into()))
}

#[cfg(feature = "redis")]
fn redis(text: &str) -> Result<Target, String> {
    text.parse().map(Target::Redis).map_err(|error: RedisError| error.to_string())
}

#[cfg(not(feature = "grpc"))]
fn unix(_path: &str) -> Result<Target, String> {
    Err(left_out("grpc"))
}

#[cfg(not(feature = "grpc"))]
fn https(_text: &str) -> Result<Target, String> {
    Err(left_out("grpc"))
}

#[cfg(not(feature = "grpc"))]
fn http(_text: &str) -> Result<Target, String> {
    Err(left_out("grpc"))
}

#[cfg(not(feature = "redis"))]
fn redis(_text: &str) -> Result<Target, String> {
    Err(left_out("redis"))
}

#[cfg(not(all(feature = "grpc", feature = "redis")))]
fn left_out(feature: &str) -> String {
    format!("this program was built without it; build metrifold with its feature `{feature}`")
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
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Local(None) => write!(f, "local:{}", metrifold_segment::default_path().display()),
            Target::Local(Some(directory)) => write!(f, "local:{}", directory.display()),
            #[cfg(feature = "grpc")]
            Target::Unix(path) => write!(f, "unix:{}", path.display()),
            #[cfg(feature = "grpc")]
            Target::Https(address) => write!(f, "{address}"),
            #[cfg(feature = "grpc")]
            Target::Http(url) => f.write_str(url),
            #[cfg(feature = "redis")]
            Target::Redis(address) => write!(f, "{address}"),
        }
    }
}

/// As [`Display`](fmt::Display), so that no log shows a password.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

#[cfg(all(test, feature = "grpc", feature = "redis"))]
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
            ("unix:///run/m.sock", Target::Unix("/run/m.sock".into())),
            (
                "redis://:secret@r:6380/3",
                Target::Redis("redis://:secret@r:6380/3".parse().expect("an address")),
            ),
        ];
        for (text, target) in table {
            assert_eq!(text.parse(), Ok(target.clone()));
            // The password of an address that is shown cannot be read back.
            if !text.contains('@') {
                assert_eq!(
                    target.to_string().parse::<Target>().map(|again| again.to_string()),
                    Ok(target.to_string())
                );
            }
        }
    }

    #[test]
    fn a_bad_target_is_refused_with_what_to_do() {
        let table = [
            ("nonsense", "none of local:DIR"),
            ("ftp://x", "none of local:DIR"),
            ("unix:relative", "absolute path"),
            ("http://", "host"),
            ("http://h:99999", "port"),
            ("http://h/path", "only a host and a port"),
            ("http://user:secret@h", "only a host and a port"),
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
        let misplaced = "http://user:hunter2@c:9091".parse::<Target>().expect_err("no place for a password");
        for text in [
            target.to_string(),
            format!("{target:?}"),
            wrong.to_string(),
            worse.to_string(),
            misplaced.to_string(),
        ] {
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}
