//! Pushes from other processes, over gRPC.

use std::{pin::Pin, sync::Arc};

use futures::{Stream, StreamExt};
use metrifold_model::{Namespace, Seq, limits};
use metrifold_store::{Store, StoreError};
use metrifold_wire::{
    FILE_DESCRIPTOR_SET, WireError,
    v1::{
        PushRequest, PushResponse,
        ingest_server::{Ingest, IngestServer},
    },
};
use tokio::sync::watch;
use tonic::{Extensions, Request, Response, Status, Streaming, server::NamedService, service::Routes};
use tonic_health::{ServingStatus, server::HealthReporter};

/// Whether the caller of a request, of whom something stands among its extensions, may push into a namespace; if not,
/// why, in words for the caller.
pub type Admission = fn(&Extensions, &Namespace) -> Result<(), String>;

/// As [`guarded_ingest`], and everybody may push anywhere.
pub async fn ingest(store: Arc<dyn Store>, namespace: Namespace) -> Routes {
    guarded_ingest(store, namespace, |_, _| Ok(()), watch::channel(true).1).await
}

/// The gRPC services of a collector: `metrifold.v1.Ingest`, health and reflection. Pushes that name no namespace go to
/// `namespace`. The health service says whether the store `is_serving`, so that load balancers send pushes elsewhere.
/// Mount it with [`Routes::into_axum_router`], so that HTTP and gRPC share a listener.
pub async fn guarded_ingest(
    store: Arc<dyn Store>,
    namespace: Namespace,
    admission: Admission,
    is_serving: watch::Receiver<bool>,
) -> Routes {
    let service = IngestService { store, namespace, admission };
    let service = IngestServer::new(service).max_decoding_message_size(limits::PUSH_BYTES_MAX);
    let (reporter, health) = tonic_health::server::health_reporter();
    report(&reporter, *is_serving.borrow()).await;
    tokio::spawn(report_changes(reporter, is_serving));
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

/// Of the service, and of the server as a whole (the empty name).
async fn report(reporter: &HealthReporter, is_serving: bool) {
    let status = if is_serving { ServingStatus::Serving } else { ServingStatus::NotServing };
    for name in ["", IngestServer::<IngestService>::NAME] {
        reporter.set_service_status(name, status).await;
    }
}

/// Ends with whoever says it.
async fn report_changes(reporter: HealthReporter, mut is_serving: watch::Receiver<bool>) {
    while is_serving.changed().await.is_ok() {
        let is_serving = *is_serving.borrow_and_update();
        report(&reporter, is_serving).await;
    }
}

#[derive(Clone)]
struct IngestService {
    store: Arc<dyn Store>,
    namespace: Namespace,
    admission: Admission,
}

/// A push that got no answer of the protocol.
enum Unanswered {
    /// It cannot be understood.
    Malformed(WireError),
    /// Its caller may not push there.
    Forbidden(String),
    /// The store failed; whether the push was stored is unknown.
    Store(Seq, StoreError),
}

impl From<Unanswered> for Status {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Malformed(error) => Status::invalid_argument(error.to_string()),
            Unanswered::Forbidden(reason) => Status::permission_denied(reason),
            Unanswered::Store(_, error) if error.is_retryable() => Status::unavailable(error.to_string()),
            Unanswered::Store(_, error) => Status::failed_precondition(error.to_string()),
        }
    }
}

impl IngestService {
    async fn take(&self, message: PushRequest, caller: &Extensions) -> Result<PushResponse, Unanswered> {
        let parsed = metrifold_wire::parse_request(message, &self.namespace);
        let (namespace, push) = parsed.map_err(Unanswered::Malformed)?;
        (self.admission)(caller, &namespace).map_err(Unanswered::Forbidden)?;
        let answer = self.store.push(&namespace, &push).await;
        let answer = answer.map_err(|error| Unanswered::Store(push.seq, error))?;
        Ok(metrifold_wire::response(push.seq, answer))
    }

    /// On a stream one bad push must not cost the source its connection, unless it cannot even be attributed.
    async fn take_streamed(&self, message: PushRequest, caller: &Extensions) -> Result<PushResponse, Status> {
        match self.take(message, caller).await {
            Err(Unanswered::Store(seq, error)) => Ok(metrifold_wire::unavailable(seq, error.to_string())),
            taken => taken.map_err(Status::from),
        }
    }
}

#[tonic::async_trait]
impl Ingest for IngestService {
    type PushStreamStream = Pin<Box<dyn Stream<Item = Result<PushResponse, Status>> + Send>>;

    async fn push(&self, request: Request<PushRequest>) -> Result<Response<PushResponse>, Status> {
        let (_, caller, message) = request.into_parts();
        Ok(Response::new(self.take(message, &caller).await?))
    }

    async fn push_stream(
        &self,
        request: Request<Streaming<PushRequest>>,
    ) -> Result<Response<Self::PushStreamStream>, Status> {
        let (_, caller, messages) = request.into_parts();
        let party = Arc::new((self.clone(), caller));
        // One after the other: answers come in the order of the pushes, and the stream's own flow control bounds it.
        let answers = messages.then(move |message| {
            let party = party.clone();
            async move {
                let (service, caller) = &*party;
                service.take_streamed(message?, caller).await
            }
        });
        Ok(Response::new(Box::pin(answers)))
    }
}
