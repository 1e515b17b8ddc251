//! Pages of the server, read like any scraper does.

use std::{net::SocketAddr, time::Duration};

use http_body_util::{BodyExt, Empty};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Longest wait for a page.
const PAGE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(super) enum PageError {
    #[error("no answer within {}", humantime::format_duration(PAGE_TIMEOUT))]
    Timeout,
    #[error("{0}")]
    Connection(#[from] std::io::Error),
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("{status}: {body}")]
    Status { status: StatusCode, body: String },
}

/// Fetches a page; anything but 200 is an error with the server's reason.
pub(super) async fn get(server: SocketAddr, path: &str) -> Result<String, PageError> {
    tokio::time::timeout(PAGE_TIMEOUT, fetch(server, path)).await.unwrap_or(Err(PageError::Timeout))
}

async fn fetch(server: SocketAddr, path: &str) -> Result<String, PageError> {
    let stream = TcpStream::connect(server).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get(path).header("host", server.to_string()).body(Empty::<Bytes>::new());
    let request = request.expect("a constant path and an address make a request");
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    let body = String::from_utf8_lossy(&body).into_owned();
    if status == StatusCode::OK { Ok(body) } else { Err(PageError::Status { status, body }) }
}

/// The sum of all samples of one name that carry `label` (such as `state="live"`; empty: any).
pub(super) fn sum(page: &str, name: &str, label: &str) -> f64 {
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
