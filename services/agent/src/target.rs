//! Where an agent pushes to.

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use metrifold_channel::{ChannelError, HttpsAddress, Ingest, Token, Way, describe};
use metrifold_model::Namespace;
use metrifold_session::{Answer, Push};
use metrifold_store::{Store, StoreError};
use metrifold_telemetry::{push_span, trace_headers};
use metrifold_wire::Reply;
use tonic::Request;
use tracing::Instrument;
use xxhash_rust::xxh3::xxh3_64;

/// Longest wait for one answer; the push is sent again after it.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Something that takes pushes.
#[async_trait]
pub trait Target: Send + Sync + 'static {
    /// The same name over restarts of the agent; without secrets, since it is logged. What a segment's holder has sent
    /// is remembered per name.
    fn name(&self) -> &str;

    /// Sends one push and waits for its answer, for a bounded time. After an error the push may or may not have been
    /// stored; it is sent again.
    async fn push(&self, namespace: &Namespace, push: &Push) -> Result<Answer, TargetError>;
}

/// The id under which a target's state stands in a segment; never 0.
pub(crate) fn id(target: &dyn Target) -> u64 {
    xxh3_64(target.name().as_bytes()).max(1)
}

/// Why a push was not answered.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The address is not one.
    #[error("{given:?} is no address of a collector: {reason}")]
    Invalid {
        /// What was given.
        given: String,
        /// Why it is not.
        reason: String,
    },
    /// The collector did not answer, or not with an answer to this push.
    #[error("{0}")]
    Unanswered(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A store in this process, or one that this process reaches itself.
pub struct StoreTarget {
    name: String,
    store: Arc<dyn Store>,
}

impl StoreTarget {
    /// Pushes to `store`, which `name` tells apart from the agent's other target.
    pub fn new(name: impl Into<String>, store: Arc<dyn Store>) -> Self {
        StoreTarget { name: name.into(), store }
    }
}

#[async_trait]
impl Target for StoreTarget {
    fn name(&self) -> &str {
        &self.name
    }

    async fn push(&self, namespace: &Namespace, push: &Push) -> Result<Answer, TargetError> {
        Ok(self.store.push(namespace, push).instrument(push_span()).await?)
    }
}

/// A collector over gRPC. Unary calls on one connection: an agent sends few pushes, and a call's time-out is simple.
pub struct GrpcTarget {
    name: String,
    client: Ingest,
}

impl GrpcTarget {
    /// A collector at `http://host:port`, `https://host:port` with the files that [`HttpsAddress`] names, or
    /// `unix:/path.sock`, which is shown `token`. Connects at the first push, and again whenever the connection broke.
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If the address is not one.
    pub fn new(address: &str, token: Token) -> Result<Self, TargetError> {
        let invalid = |error: ChannelError| TargetError::Invalid {
            given: address.to_owned(),
            reason: error.to_string(),
        };
        let way = match address.split_once(':') {
            Some(("unix", path)) => Way::unix(Path::new(path)),
            Some(("https", _)) => address.parse::<HttpsAddress>().and_then(|address| Way::https(&address)),
            _ => Way::http(address),
        };
        let way = way.map_err(invalid)?.call_timeout(CALL_TIMEOUT).connect_timeout(CONNECT_TIMEOUT);
        Ok(GrpcTarget { name: address.to_owned(), client: way.with_token(token).client() })
    }
}

#[async_trait]
impl Target for GrpcTarget {
    fn name(&self) -> &str {
        &self.name
    }

    async fn push(&self, namespace: &Namespace, push: &Push) -> Result<Answer, TargetError> {
        let unanswered = |reason: String| TargetError::Unanswered(reason);
        let span = push_span();
        let mut request = Request::new(metrifold_wire::request(namespace, push));
        for (name, value) in trace_headers(&span) {
            if let Ok(value) = value.parse() {
                request.metadata_mut().insert(name, value);
            }
        }
        let call = self.client.clone().push(request).instrument(span).await;
        let response = call.map_err(|status| unanswered(describe(&status)))?;
        match metrifold_wire::parse_response(response.into_inner()) {
            Ok((seq, Reply::Answer(answer))) if seq == push.seq => Ok(answer),
            Ok((_, Reply::Unavailable { reason })) => Err(unanswered(reason)),
            Ok((seq, _)) => Err(unanswered(format!("push {} was answered as {}", push.seq.0, seq.0))),
            Err(error) => Err(unanswered(error.to_string())),
        }
    }
}
