//! From an address to a client of its ingest service.

use std::{path::Path, sync::Arc, time::Duration};

use metrifold_wire::v1::ingest_client::IngestClient;
use tonic::{
    service::interceptor::InterceptedService,
    transport::{Channel, Endpoint, Uri},
};
use tower::service_fn;

use crate::{Bearer, ChannelError, HttpsAddress, Token, connector};

/// A client of a collector's ingest service.
pub type Ingest = IngestClient<InterceptedService<Channel, Bearer>>;

/// How a collector is reached.
#[derive(Clone, Debug)]
pub struct Way {
    endpoint: Endpoint,
    tls: Option<Arc<HttpsAddress>>,
    token: Token,
}

impl Way {
    /// To `http://host:port`, in plain text.
    ///
    /// # Errors
    /// If it is no address.
    pub fn http(url: &str) -> Result<Way, ChannelError> {
        Way::new(url.to_owned(), None)
    }

    /// Over TLS. The files are read once now, so that a wrong one is found at the start, and again at every connection.
    ///
    /// # Errors
    /// If the files cannot be used.
    pub fn https(address: &HttpsAddress) -> Result<Way, ChannelError> {
        address.files.client_config()?;
        Way::new(address.url.clone(), Some(Arc::new(address.clone())))
    }

    /// By the socket at an absolute path on this host.
    ///
    /// # Errors
    /// If it cannot be one.
    pub fn unix(path: &Path) -> Result<Way, ChannelError> {
        let text = path.to_str().filter(|_| path.is_absolute());
        let text =
            text.ok_or_else(|| ChannelError::Address("the path is not absolute, or not UTF-8".into()))?;
        Way::new(format!("unix://{text}"), None)
    }

    fn new(uri: String, tls: Option<Arc<HttpsAddress>>) -> Result<Way, ChannelError> {
        let endpoint =
            Endpoint::from_shared(uri).map_err(|error| ChannelError::Address(error.to_string()))?;
        Ok(Way { endpoint: endpoint.tcp_nodelay(true), tls, token: Token::default() })
    }

    /// Shows a token at every call.
    pub fn with_token(self, token: Token) -> Way {
        Way { token, ..self }
    }

    /// Longest wait for a connection, TLS included.
    pub fn connect_timeout(self, limit: Duration) -> Way {
        Way { endpoint: self.endpoint.connect_timeout(limit), ..self }
    }

    /// A client that connects at its first call, and again whenever the connection broke. Must be called within a tokio
    /// runtime.
    pub fn client(&self) -> Ingest {
        let channel = match &self.tls {
            None => self.endpoint.connect_lazy(),
            Some(address) => {
                let address = address.clone();
                let connect = move |_: Uri| connector::connect(address.clone());
                self.endpoint.connect_with_connector_lazy(service_fn(connect))
            }
        };
        IngestClient::with_interceptor(channel, Bearer::new(self.token.clone()))
    }
}
