//! From a source to rules.

use std::{path::Path, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue};

use super::{Problems, Tokens, Users, WebErrors, document, document::Section, headers, tls_section};
use crate::{
    Source,
    files::{Files, Stamps},
    tls::{ClientAuth, Tls, TlsChoice},
};

/// Top-level keys of a web.config.yml; the last is our own.
const KEYS: [&str; 5] =
    ["tls_server_config", "http_server_config", "basic_auth_users", "rate_limit", "bearer_tokens"];

/// The rules in force.
#[derive(Debug, Default)]
pub(crate) struct Web {
    pub(crate) tls: Option<Tls>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) users: Users,
    pub(crate) tokens: Tokens,
    pub(crate) rate: Option<Rate>,
}

/// How often requests may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) interval: Duration,
    pub(crate) burst: u32,
}

/// What came of reading.
pub(crate) struct Reading {
    pub(crate) web: Result<Arc<Web>, WebErrors>,
    /// What was read for it, also if it is of no use: a change may mend it.
    pub(crate) stamps: Stamps,
}

/// Reads the rules and every file that they name.
pub(crate) fn read(source: &Source) -> Reading {
    let (files, problems) = (Files::default(), Problems::default());
    let (name, web) = match source {
        Source::Open => (String::new(), Web::default()),
        Source::File(path) => (path.display().to_string(), of_file(path, &files, &problems)),
        Source::Certificates(named) => {
            let tls = tls_section::of_files(named, &files, &problems);
            (
                "the certificate files".to_owned(),
                Web { tls: make("certificate and key", tls, &problems), ..Web::default() },
            )
        }
    };
    let problems = problems.into_inner();
    let web = match problems.is_empty() {
        true => Ok(Arc::new(web)),
        false => Err(WebErrors { source: name, problems }),
    };
    Reading { web, stamps: files.stamps() }
}

fn of_file(path: &Path, files: &Files, problems: &Problems) -> Web {
    let text = files.read(path).map_err(|error| error.to_string());
    let text = text.and_then(|bytes| String::from_utf8(bytes).map_err(|error| error.to_string()));
    let document = text.and_then(|text| document::parse(&text));
    let Some(document) = problems.take("the file", document) else { return Web::default() };
    let root = Section::new("", &document, problems);
    root.only(&KEYS);
    let directory = path.parent().unwrap_or(Path::new(""));
    let section = |name| Section::new(name, root.node(name).unwrap_or(&yaml_rust2::Yaml::Null), problems);
    let http = section("http_server_config");
    http.only(&["http2", "headers"]);
    let http2 = http.flag("http2").unwrap_or(true);
    let tls = tls_section::of_section(&section("tls_server_config"), directory, http2, files, problems);
    Web {
        tls: make("tls_server_config", tls, problems),
        headers: headers::read(&http, problems),
        users: Users::read(&section("basic_auth_users"), problems),
        tokens: Tokens::read(&section("bearer_tokens"), directory, files, problems),
        rate: rate(&section("rate_limit"), problems),
    }
}

fn make(place: &str, choice: Option<TlsChoice>, problems: &Problems) -> Option<Tls> {
    let choice = choice?;
    problems.take(place, Tls::new(choice))
}

/// Go's `interval` and `burst`: a token bucket. An interval of 0 is none.
fn rate(section: &Section<'_>, problems: &Problems) -> Option<Rate> {
    section.only(&["interval", "burst"]);
    let interval = section.text("interval").filter(|text| text != "0")?;
    let place = section.place("interval");
    let interval = humantime::parse_duration(&interval)
        .map_err(|cause| format!("{interval:?} is no duration ({cause}); use for example 100ms or 1s"));
    let interval = problems.take(&place, interval)?;
    let burst = section.text("burst").and_then(|text| text.parse().ok()).filter(|burst| *burst > 0);
    let burst = burst.ok_or("a number of requests from 1 up is expected beside interval");
    let burst = problems.take(&section.place("burst"), burst)?;
    (!interval.is_zero()).then_some(Rate { interval, burst })
}

impl Web {
    /// Whether somebody without credentials may come in.
    pub(crate) fn is_open(&self) -> bool {
        self.users.is_empty() && self.tokens.is_empty()
    }

    /// Whether everybody who comes in over TLS has shown a certificate that a known authority has signed. One that anybody may have
    /// signed says nothing of who shows it.
    pub(crate) fn verifies_certificates(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.client_auth == ClientAuth::RequireAndVerifyClientCert)
    }

    /// In one line, without secrets.
    pub(crate) fn summary(&self) -> String {
        let transport = match &self.tls {
            None => "plain text".to_owned(),
            Some(tls) => match tls.client_auth {
                ClientAuth::NoClientCert => "TLS".to_owned(),
                auth => format!("TLS ({})", auth.name()),
            },
        };
        let mut parts = vec![transport];
        if !self.users.is_empty() {
            parts.push(counted(self.users.len(), "user"));
        }
        if !self.tokens.is_empty() {
            parts.push(counted(self.tokens.len(), "token"));
        }
        if let Some(Rate { interval, burst }) = self.rate {
            let interval = humantime::format_duration(interval);
            parts.push(format!("a request every {interval}, {burst} at once"));
        }
        if self.is_open() {
            parts.push("no credentials asked for".into());
        }
        parts.join(", ")
    }
}

fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}
