//! Pushes to a collector over gRPC, by TCP or a unix socket.

use std::path::Path;

use metrifold_model::Namespace;
use metrifold_session::{Answer, Push};
use metrifold_wire::{Reply, v1::ingest_client::IngestClient};
use tonic::transport::{Channel, Endpoint};

use super::CONNECT_TIMEOUT;
use crate::{TargetError, drive::Transport};

/// One connection, made when it is first needed and again after it broke.
pub(crate) struct Grpc {
    endpoint: Endpoint,
    namespace: Namespace,
    client: Option<IngestClient<Channel>>,
}

impl Grpc {
    /// To `http://host:port`.
    pub(crate) fn tcp(url: &str, namespace: &Namespace) -> Result<Self, TargetError> {
        let invalid = |error: tonic::transport::Error| TargetError::Invalid {
            given: url.into(),
            reason: error.to_string(),
        };
        let endpoint = Endpoint::from_shared(url.to_owned()).map_err(invalid)?;
        Ok(Grpc::new(endpoint, namespace))
    }

    /// To the socket at an absolute path.
    pub(crate) fn unix(path: &Path, namespace: &Namespace) -> Result<Self, TargetError> {
        let given = format!("unix:{}", path.display());
        let invalid = |reason: String| TargetError::Invalid { given: given.clone(), reason };
        let path = path.to_str().ok_or_else(|| invalid("the path is not UTF-8".into()))?;
        let endpoint = Endpoint::from_shared(format!("unix://{path}"));
        Ok(Grpc::new(endpoint.map_err(|error| invalid(error.to_string()))?, namespace))
    }

    fn new(endpoint: Endpoint, namespace: &Namespace) -> Self {
        let endpoint = endpoint.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true);
        Grpc { endpoint, namespace: namespace.clone(), client: None }
    }
}

impl Transport for Grpc {
    async fn send(&mut self, push: &Push) -> Result<Answer, String> {
        let connect = || IngestClient::new(self.endpoint.connect_lazy());
        let client = self.client.get_or_insert_with(connect);
        let request = metrifold_wire::request(&self.namespace, push);
        let response = client.push(request).await.map_err(|status| describe(&status))?;
        match metrifold_wire::parse_response(response.into_inner()) {
            Ok((seq, Reply::Answer(answer))) if seq == push.seq => Ok(answer),
            Ok((_, Reply::Unavailable { reason })) => Err(reason),
            Ok((seq, _)) => Err(format!("push {} was answered with the number {}", push.seq.0, seq.0)),
            Err(error) => Err(error.to_string()),
        }
    }

    fn reset(&mut self) {
        self.client = None;
    }
}

/// A status with the causes that tonic keeps below it: "connection refused" is what people look for.
fn describe(status: &tonic::Status) -> String {
    let mut text = format!("{:?}: {}", status.code(), status.message());
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
