//! Pushes to a collector over gRPC: plain, over TLS or by a unix socket.

use metrifold_channel::{ChannelError, Ingest, Way, describe};
use metrifold_model::Namespace;
use metrifold_session::{Answer, Push};
use metrifold_wire::Reply;
use tonic::Request;

use super::{CONNECT_TIMEOUT, trace::PushSpan};
use crate::{Settings, TargetError, drive::Transport};

/// One connection, made when it is first needed and again after it broke.
pub(crate) struct Grpc {
    way: Way,
    namespace: Namespace,
    client: Option<Ingest>,
}

impl Grpc {
    /// By the way to the target of `settings`.
    pub(crate) fn new(way: Result<Way, ChannelError>, settings: &Settings) -> Result<Self, TargetError> {
        let invalid = |error: ChannelError| TargetError::Invalid {
            given: settings.target.to_string(),
            reason: error.to_string(),
        };
        let way = way.map_err(invalid)?.connect_timeout(CONNECT_TIMEOUT).with_token(settings.token.clone());
        Ok(Grpc { way, namespace: settings.namespace.clone(), client: None })
    }
}

impl Transport for Grpc {
    async fn send(&mut self, push: &Push) -> Result<Answer, String> {
        let client = self.client.get_or_insert_with(|| self.way.client());
        let mut request = Request::new(metrifold_wire::request(&self.namespace, push));
        let span = PushSpan::begin(&mut request);
        let response = span.end(client.push(request).await.map_err(|status| describe(&status)))?;
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
