//! Pages of the server, read like any scraper does.

use std::{sync::Arc, time::Duration};

use http_body_util::{BodyExt, Empty};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1, header::HeaderValue};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// Longest wait for a page.
const PAGE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// Nothing came in time.
    #[error("no answer within {}", humantime::format_duration(PAGE_TIMEOUT))]
    Timeout,
    /// The server cannot be reached.
    #[error("{0}")]
    Connection(#[from] std::io::Error),
    /// It does not speak HTTP.
    #[error("{0}")]
    Http(#[from] hyper::Error),
    /// The page cannot be asked for.
    #[error("{0}")]
    Request(#[from] hyper::http::Error),
    /// It answers something else than 200.
    #[error("{status}: {body}")]
    Status {
        /// What it answers.
        status: StatusCode,
        /// The page.
        body: String,
    },
}

/// A server, and how to ask it.
pub struct PageServer {
    /// `host:port`.
    pub address: String,
    /// `None`: plain HTTP.
    pub tls: Option<Tls>,
    /// The header of this name.
    pub authorization: Option<HeaderValue>,
}

/// Whom to trust, and who is expected.
pub struct Tls {
    /// Whom to trust.
    pub config: Arc<ClientConfig>,
    /// The name in the server's certificate.
    pub name: ServerName<'static>,
}

impl PageServer {
    /// One that speaks plain HTTP with everybody.
    pub fn plain(address: impl Into<String>) -> PageServer {
        PageServer { address: address.into(), tls: None, authorization: None }
    }

    /// Fetches a page.
    ///
    /// # Errors
    /// Anything but 200, with the server's reason.
    pub async fn get(&self, path: &str) -> Result<String, PageError> {
        tokio::time::timeout(PAGE_TIMEOUT, self.connect(path)).await.unwrap_or(Err(PageError::Timeout))
    }

    async fn connect(&self, path: &str) -> Result<String, PageError> {
        let stream = TcpStream::connect(&self.address).await?;
        match &self.tls {
            None => self.fetch(stream, path).await,
            Some(Tls { config, name }) => {
                let stream = TlsConnector::from(config.clone()).connect(name.clone(), stream).await?;
                self.fetch(stream, path).await
            }
        }
    }

    async fn fetch<S>(&self, stream: S, path: &str) -> Result<String, PageError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let mut request = Request::get(path).header("host", &self.address).body(Empty::<Bytes>::new())?;
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert("authorization", authorization.clone());
        }
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        let body = String::from_utf8_lossy(&body).into_owned();
        if status == StatusCode::OK { Ok(body) } else { Err(PageError::Status { status, body }) }
    }
}

/// The sum of all samples of one name that carry `label` (such as `state="live"`; empty: any).
pub fn sum(page: &str, name: &str, label: &str) -> f64 {
    let value = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let is_whole_name = rest.starts_with(' ') || rest.starts_with('{');
        let (series, value) = rest.rsplit_once(' ')?;
        if is_whole_name && series.contains(label) { value.parse::<f64>().ok() } else { None }
    };
    page.lines().filter_map(value).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_found_by_whole_name_and_label() {
        let page = "# TYPE a counter\na_total{k=\"x\"} 2\na_total{k=\"y\"} 3\na_total_more 100\nb 1\n";
        assert_eq!(sum(page, "a_total", ""), 5.0);
        assert_eq!(sum(page, "a_total", "k=\"y\""), 3.0);
        assert_eq!(sum(page, "b", ""), 1.0);
        assert_eq!(sum(page, "c", ""), 0.0);
    }
}
