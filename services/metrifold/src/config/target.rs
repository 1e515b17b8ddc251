//! Where an agent pushes its sources on to.

use std::{fmt, path::PathBuf, str::FromStr};

use metrifold_channel::{ChannelError, HttpsAddress};
use metrifold_redis::{RedisAddress, RedisError};

/// A remote target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A collector by its address, `http://host:port`.
    Http(String),
    /// The same over TLS, `https://host:port[?ca=/file.pem][&cert=/file.pem&key=/file.pem]`.
    Https(HttpsAddress),
    /// A collector on this host, by its socket's path.
    Unix(PathBuf),
    /// Straight into Redis.
    Redis(RedisAddress),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("unix", path)) => unix(path),
            Some(("http", _)) => http(text),
            Some((scheme, _)) if scheme.starts_with("redis") => {
                text.parse().map(Target::Redis).map_err(|error: RedisError| error.to_string())
            }
            Some(("https", _)) => {
                text.parse().map(Target::Https).map_err(|error: ChannelError| error.to_string())
            }
            _ => Err("not a target; use http://host:port, https://host:port, unix:/path/to.sock or redis://host:port (or rediss, redis-sentinel, redis-cluster)".into()),
        }
    }
}

fn unix(path: &str) -> Result<Target, String> {
    let path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
    match path.is_absolute() {
        true => Ok(Target::Unix(path)),
        false => Err("the path of a unix: target must be absolute, such as unix:/run/metrifold.sock".into()),
    }
}

fn http(text: &str) -> Result<Target, String> {
    let url = url::Url::parse(text).map_err(|cause| format!("not a URL ({cause}); use http://host:port"))?;
    match (url.host_str(), url.path()) {
        (Some(_), "/") => Ok(Target::Http(text.trim_end_matches('/').to_owned())),
        (Some(_), path) => Err(format!("a collector's address has no path, so leave {path:?} out")),
        (None, _) => Err("the host is missing; use http://host:port".into()),
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Http(url) => f.write_str(url),
            Target::Https(address) => write!(f, "{address}"),
            Target::Unix(path) => write!(f, "unix:{}", path.display()),
            Target::Redis(url) => write!(f, "{url}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_target_reads_back_as_it_prints() {
        for text in [
            "http://collector:9091",
            "https://collector:9091?ca=/ca.pem&cert=/c.pem&key=/k.pem",
            "unix:/run/metrifold.sock",
            "redis://cache:6379/2",
            "redis-cluster://a:1,b:2",
        ] {
            let target: Target = text.parse().expect("a good target");
            assert_eq!(target.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_target_is_refused_with_what_to_write_instead() {
        for (text, hint) in [
            ("collector", "http://host:port"),
            ("unix:run.sock", "absolute"),
            ("https://collector:9091?cert=/c.pem", "together"),
            ("redis-what://cache:6379", "scheme that is not known"),
            ("http://collector:9091/metrics", "no path"),
        ] {
            let error = text.parse::<Target>().expect_err(text);
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
