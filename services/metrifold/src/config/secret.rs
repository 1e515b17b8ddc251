//! Values that must not be printed.

use url::Url;

/// A `redis://` URL. `Display` and `Debug` hide the password; only [`RedisUrl::reveal`] shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(Url);

impl RedisUrl {
    /// The URL with its password, for the client library only.
    pub fn reveal(&self) -> &str {
        self.0.as_str()
    }

    /// Builds the URL that the variables `REDIS_HOST`, `REDIS_PORT`, `REDIS_DB` and `REDIS_PASSWORD` describe.
    pub(crate) fn from_parts(
        host: &str,
        port: &str,
        database: &str,
        password: &str,
    ) -> Result<RedisUrl, String> {
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let mut url = Url::parse(&format!("redis://{host}:{port}/{database}")).map_err(|cause| {
            format!("REDIS_HOST, REDIS_PORT and REDIS_DB do not make a Redis address: {cause}")
        })?;
        if !password.is_empty() {
            url.set_password(Some(password)).map_err(|()| "REDIS_HOST must not be empty".to_owned())?;
        }
        Ok(RedisUrl(url))
    }
}

impl std::str::FromStr for RedisUrl {
    type Err = String;

    /// Errors never repeat the text, because it may hold a password.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text)
            .map_err(|cause| format!("not a URL ({cause}); use redis://[:password@]host:port/database"))?;
        match url.scheme() {
            "redis" if url.has_host() => Ok(RedisUrl(url)),
            "redis+unix" => Ok(RedisUrl(url)),
            "redis" => Err("the host is missing; use redis://[:password@]host:port/database".into()),
            scheme @ ("rediss" | "redis-sentinel" | "redis-cluster") => {
                Err(format!("{scheme}:// is not supported yet by this version; use redis://"))
            }
            scheme => {
                Err(format!("{scheme}:// is no Redis address; use redis://[:password@]host:port/database"))
            }
        }
    }
}

impl std::fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = self.0.clone();
        if shown.password().is_some() && shown.set_password(Some("***")).is_err() {
            return f.write_str("redis://***");
        }
        shown.set_query(None);
        write!(f, "{shown}")
    }
}

impl std::fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_shows_neither_in_display_nor_in_debug_nor_in_errors() {
        let url: RedisUrl = "redis://:hunter2@example.com:6380/1".parse().expect("a good URL");
        assert_eq!(url.to_string(), "redis://:***@example.com:6380/1");
        assert!(!format!("{url:?}").contains("hunter2"));
        assert!(url.reveal().contains("hunter2"));
        let error = "http://:hunter2@example.com".parse::<RedisUrl>().expect_err("not redis");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_password_with_reserved_characters_survives_being_put_into_a_url() {
        let url = RedisUrl::from_parts("localhost", "6379", "0", "p@ss/w:rd").expect("good parts");
        let read: Url = url.reveal().parse().expect("a URL");
        assert_eq!(read.host_str(), Some("localhost"));
        assert_eq!(read.password(), Some("p%40ss%2Fw%3Ard"));
    }
}
