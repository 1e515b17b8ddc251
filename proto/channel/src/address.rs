//! `https://host:port`, with the files for TLS.

use std::{fmt, str::FromStr};

use metrifold_tls::TlsFiles;
use url::Url;

use crate::ChannelError;

/// A collector over TLS: `https://host[:port][?ca=/file.pem][&cert=/file.pem&key=/file.pem]`. `ca` names the only
/// authorities to trust (default: those of the system), `cert` and `key` the client's certificate. It holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpsAddress {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// `https://host:port`.
    pub(crate) url: String,
    pub(crate) files: TlsFiles,
    shown: String,
}

impl FromStr for HttpsAddress {
    type Err = ChannelError;

    /// Never repeats the text in an error: it may hold a password in a wrong place.
    fn from_str(text: &str) -> Result<Self, ChannelError> {
        let invalid = |what: &str| {
            let form = "https://host:port[?ca=/file.pem][&cert=/file.pem&key=/file.pem]";
            ChannelError::Address(format!("{what}; use {form}"))
        };
        let url = Url::parse(text).map_err(|cause| invalid(&format!("not a URL ({cause})")))?;
        if url.scheme() != "https" {
            return Err(invalid("the scheme is not https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("an address has no user and no password; give a token by METRIFOLD_TOKEN"));
        }
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(invalid("only a host, a port and options may be given"));
        }
        let mut files = TlsFiles::default();
        for (name, value) in url.query_pairs() {
            let file = files.option(&name).ok_or_else(|| invalid(&format!("there is no option {name:?}")))?;
            *file = Some(value.into_owned().into());
        }
        files.check()?;
        let bracketed =
            url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| invalid("the host is missing"))?;
        let host = bracketed.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = url.port_or_known_default().unwrap_or(443);
        let bare = format!("https://{bracketed}:{port}");
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let shown = format!("{bare}{query}");
        Ok(HttpsAddress { host, port, url: bare, files, shown })
    }
}

impl fmt::Display for HttpsAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_port_and_files_are_read_and_print_again() {
        let address: HttpsAddress =
            "https://c.example:9091/?ca=/a/ca.pem&cert=/c.pem&key=/k.pem".parse().expect("good");
        assert_eq!((address.host.as_str(), address.port), ("c.example", 9091));
        assert_eq!(address.files.ca.as_deref(), Some("/a/ca.pem".as_ref()));
        assert_eq!(address.to_string(), "https://c.example:9091?ca=/a/ca.pem&cert=/c.pem&key=/k.pem");
        assert_eq!(address.to_string().parse::<HttpsAddress>(), Ok(address));
        let address: HttpsAddress = "https://[::1]".parse().expect("good");
        assert_eq!((address.host.as_str(), address.url.as_str()), ("::1", "https://[::1]:443"));
    }

    #[test]
    fn what_does_not_belong_into_an_address_is_refused_without_being_repeated() {
        for (text, reason) in [
            ("https://", "URL"),
            ("http://c", "scheme"),
            ("https://u:hunter2@c", "METRIFOLD_TOKEN"),
            ("https://c/metrics", "only a host"),
            ("https://c?token=hunter2", "no option \"token\""),
            ("https://c?cert=/c.pem", "together"),
        ] {
            let error = text.parse::<HttpsAddress>().expect_err(text).to_string();
            assert!(error.contains(reason) && !error.contains("hunter2"), "{text}: {error}");
        }
    }
}
