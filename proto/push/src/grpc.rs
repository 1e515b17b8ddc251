//! Pushes to a collector over gRPC: plain, over TLS or by a unix socket.

use async_trait::async_trait;
use metrifold_channel::{Ingest, Token, Way, describe};
use metrifold_model::Namespace;
use metrifold_session::{Answer, Push, Refusal};
use metrifold_wire::Reply;
use tonic::Request;

use crate::{
    Target, TargetError, Transport, Unanswered,
    attempt::CONNECT_TIMEOUT,
    connection::{Connection, in_time},
    span::PushSpan,
};

/// A collector over gRPC. Unary calls on one connection, which is made when it is first needed and again after it broke
/// or hung: a process sends few pushes, and a call's time-out is simple.
pub struct GrpcTransport {
    name: String,
    way: Way,
    connection: Connection<Ingest>,
}

impl GrpcTransport {
    /// To a collector, which is shown `token`.
    ///
    /// # Errors
    /// If the target is none of a collector, or the files that it names cannot be used.
    pub fn new(target: &Target, token: Token) -> Result<Self, TargetError> {
        let invalid = |reason: String| TargetError::Invalid { given: target.to_string(), reason };
        let way = match target {
            Target::Http(url) => Way::http(url),
            Target::Https(address) => Way::https(address),
            Target::Unix(path) => Way::unix(path),
            _ => return Err(invalid("it is not the address of a collector".into())),
        };
        let way = way.map_err(|error| invalid(error.to_string()))?;
        let way = way.connect_timeout(CONNECT_TIMEOUT).with_token(token);
        Ok(GrpcTransport { name: target.to_string(), way, connection: Connection::default() })
    }
}

#[async_trait]
impl Transport for GrpcTransport {
    fn name(&self) -> &str {
        &self.name
    }

    async fn push(&self, namespace: &Namespace, push: &Push) -> Result<Answer, Unanswered> {
        let connection = self.connection.get(|| Ok::<_, Unanswered>(self.way.client()))?;
        let message = metrifold_wire::request(namespace, push);
        if !metrifold_wire::fits(&message) {
            // No collector reads it, and none would say so in the words of the protocol.
            return Ok(Answer::Refused(Refusal::TooLarge));
        }
        let mut request = Request::new(message);
        let span = PushSpan::begin(&mut request);
        let mut client = Ingest::clone(&connection);
        let response = match in_time(push, client.push(request)).await {
            Ok(called) => called.map_err(|status| Unanswered(describe(&status))),
            Err(hung) => {
                self.connection.give_up(&connection);
                Err(hung.into())
            }
        };
        match metrifold_wire::parse_response(span.end(response)?.into_inner()) {
            Ok((seq, Reply::Answer(answer))) if seq == push.seq => Ok(answer),
            Ok((_, Reply::Unavailable { reason })) => Err(Unanswered(reason)),
            Ok((seq, _)) => Err(Unanswered(format!("push {} was answered as {}", push.seq.0, seq.0))),
            Err(error) => Err(Unanswered::because(&error)),
        }
    }
}
