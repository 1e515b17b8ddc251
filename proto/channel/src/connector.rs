//! One connection over TLS.

use std::{io, sync::Arc};

use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::pki_types::{InvalidDnsNameError, ServerName},
};

use crate::HttpsAddress;

/// What both sides must agree on: gRPC is spoken over HTTP/2 only.
const PROTOCOL: &[u8] = b"h2";

/// Connects. The files are read each time, so that a certificate that was renewed is used.
pub(crate) async fn connect(address: Arc<HttpsAddress>) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
    let mut config = address.files.client_config().map_err(io::Error::other)?;
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    let name = ServerName::try_from(address.host.clone());
    let name = name.map_err(|error: InvalidDnsNameError| io::Error::other(error))?;
    let stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
    stream.set_nodelay(true)?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    match stream.get_ref().1.alpn_protocol() {
        Some(PROTOCOL) => Ok(TokioIo::new(stream)),
        _ => Err(io::Error::other("the server offers no HTTP/2 (http2: false in its web configuration?)")),
    }
}
