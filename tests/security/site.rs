//! A directory with a web configuration, and a server that reads it.

use std::{cell::Cell, fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use metrifold_tests::{Server, eventually};
use tempfile::TempDir;

use crate::{
    certificates::{Authority, loopback},
    curl::{Answer, curl},
};

/// How long a server may take to notice that a file has changed: a tenth of a second, and what a busy machine adds.
pub(crate) const NOTICE_TIMEOUT: Duration = Duration::from_secs(10);

/// An authority `ca`, a stranger, and the certificate `server` of the first.
pub(crate) struct Site {
    directory: TempDir,
    /// Servers that were started: each has a log of its own.
    servers: Cell<usize>,
    pub(crate) authority: Authority,
    pub(crate) stranger: Authority,
}

/// The section for TLS that most tests begin with.
pub(crate) const TLS: &str = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";

impl Site {
    pub(crate) fn new() -> Result<Site> {
        let directory = tempfile::tempdir()?;
        let authority = Authority::new(directory.path(), "ca")?;
        let stranger = Authority::new(directory.path(), "stranger")?;
        authority.sign("server", vec![loopback()])?;
        Ok(Site { directory, servers: Cell::new(0), authority, stranger })
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The path of a file.
    pub(crate) fn file(&self, name: &str) -> String {
        self.path().join(name).display().to_string()
    }

    /// Writes the web configuration, as editors do: beside it, and moved over it.
    pub(crate) fn configure(&self, text: &str) -> Result<()> {
        fs::write(self.file("web.yml.new"), text)?;
        Ok(fs::rename(self.file("web.yml.new"), self.file("web.yml"))?)
    }

    /// A server with this web configuration.
    pub(crate) fn serve(&self, text: &str) -> Result<Server> {
        self.configure(text)?;
        self.start(&[("METRIFOLD_WEB__CONFIG_FILE", &self.file("web.yml"))])
    }

    /// A server with these variables.
    pub(crate) fn start(&self, environment: &[(&str, &str)]) -> Result<Server> {
        let segments = self.file("segments");
        let mut all = vec![("METRIFOLD_AGENT__SEGMENT_DIR", segments.as_str())];
        all.extend(environment);
        self.servers.set(self.servers.get() + 1);
        Server::with(&format!("server-{}", self.servers.get()), &["serve"], &all, self.path())
    }

    /// A `--cacert` of this site for curl.
    pub(crate) fn trust(&self) -> [String; 2] {
        ["--cacert".into(), self.file("ca.pem")]
    }

    /// Asks for a page with this site's authority and more arguments.
    pub(crate) fn get(&self, url: &str, more: &[&str]) -> Result<Answer> {
        let mut arguments: Vec<String> = self.trust().to_vec();
        arguments.extend(more.iter().map(ToString::to_string));
        arguments.push(url.to_owned());
        curl(&arguments)
    }
}

/// One of the server's own metrics, by its series.
pub(crate) fn own_metric(page: &str, series: &str) -> Result<f64> {
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    Ok(line.with_context(|| format!("no {series} in {page}"))?.trim().parse()?)
}

/// Waits until `ask` is answered with `status`.
pub(crate) fn answered(what: &str, status: &str, mut ask: impl FnMut() -> Result<Answer>) -> Result<Answer> {
    eventually(what, NOTICE_TIMEOUT, || {
        let answer = ask()?;
        ensure!(answer.status == status, "{answer:?}");
        Ok(answer)
    })
}
