//! Pushes from other processes, over gRPC.

use std::{pin::Pin, sync::Arc};

use futures::{Stream, StreamExt};
use metrifold_model::{Descriptor, Namespace, Seq, limits};
use metrifold_session::{Answer, Payload, Push, Refusal};
use metrifold_store::{Store, StoreError};
use metrifold_wire::{
    FILE_DESCRIPTOR_SET, WireError,
    v1::{
        PushRequest, PushResponse,
        ingest_server::{Ingest, IngestServer},
    },
};
use tonic::{Request, Response, Status, Streaming, service::Routes};

/// The gRPC services of a collector: `metrifold.v1.Ingest`, health and reflection. Pushes that name no namespace go to
/// `namespace`. Mount it with [`Routes::into_axum_router`], so that HTTP and gRPC share a listener.
pub async fn ingest(store: Arc<dyn Store>, namespace: Namespace) -> Routes {
    let service =
        IngestServer::new(Door { store, namespace }).max_decoding_message_size(limits::PUSH_BYTES_MAX);
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<IngestServer<Door>>().await;
    let routes = Routes::new(service).add_service(health);
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .build_v1();
    match reflection {
        Ok(reflection) => routes.add_service(reflection),
        // The set is checked in and tested; without reflection only curious people miss something.
        Err(error) => {
            tracing::error!(%error, "gRPC reflection is off");
            routes
        }
    }
}

struct Door {
    store: Arc<dyn Store>,
    namespace: Namespace,
}

/// A push that got no answer of the protocol.
enum Unanswered {
    /// It cannot be understood.
    Malformed(WireError),
    /// The store failed; whether the push was stored is unknown.
    Store(Seq, StoreError),
}

impl From<Unanswered> for Status {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Malformed(error) => Status::invalid_argument(error.to_string()),
            Unanswered::Store(_, error) if error.is_retryable() => Status::unavailable(error.to_string()),
            Unanswered::Store(_, error) => Status::failed_precondition(error.to_string()),
        }
    }
}

impl Door {
    async fn take(&self, message: PushRequest) -> Result<PushResponse, Unanswered> {
        let parsed = metrifold_wire::parse_request(message, &self.namespace);
        let (namespace, push) = parsed.map_err(Unanswered::Malformed)?;
        if let Some(refusal) = refusal(&push) {
            return Ok(metrifold_wire::response(push.seq, Answer::Refused(refusal)));
        }
        let answer = self.store.push(&namespace, &push).await;
        let answer = answer.map_err(|error| Unanswered::Store(push.seq, error))?;
        Ok(metrifold_wire::response(push.seq, answer))
    }

    /// On a stream one bad push must not cost the source its connection, unless it cannot even be attributed.
    async fn take_streamed(&self, message: PushRequest) -> Result<PushResponse, Status> {
        match self.take(message).await {
            Err(Unanswered::Store(seq, error)) => Ok(metrifold_wire::unavailable(seq, error.to_string())),
            taken => taken.map_err(Status::from),
        }
    }
}

/// What this door refuses although the message is well-formed: NaN or an infinity would stay in a sum for ever. Only
/// slots described in the same message can be told apart here; a store that decides in this process knows the others
/// too. Our own SDKs never send such values.
fn refusal(push: &Push) -> Option<Refusal> {
    let values = match &push.payload {
        Payload::Values(values) => Some(values),
        Payload::Hello | Payload::Unchanged => None,
    };
    let is_finite =
        |index| [values, push.base.as_ref()].iter().flatten().all(|of| of.slot(index).is_finite());
    let described = (push.descriptors.from..).zip(&push.descriptors.entries);
    let is_bad = |(index, descriptor): (usize, &Arc<Descriptor>)| {
        descriptor.kind.is_subtractable() && !is_finite(index)
    };
    described.into_iter().any(is_bad).then_some(Refusal::NotFinite)
}

#[tonic::async_trait]
impl Ingest for Door {
    type PushStreamStream = Pin<Box<dyn Stream<Item = Result<PushResponse, Status>> + Send>>;

    async fn push(&self, request: Request<PushRequest>) -> Result<Response<PushResponse>, Status> {
        Ok(Response::new(self.take(request.into_inner()).await?))
    }

    async fn push_stream(
        &self,
        request: Request<Streaming<PushRequest>>,
    ) -> Result<Response<Self::PushStreamStream>, Status> {
        let door = Arc::new(Door { store: self.store.clone(), namespace: self.namespace.clone() });
        // One after the other: answers come in the order of the pushes, and the stream's own flow control bounds it.
        let answers = request.into_inner().then(move |message| {
            let door = door.clone();
            async move { door.take_streamed(message?).await }
        });
        Ok(Response::new(Box::pin(answers)))
    }
}
