//! A receiver of OTLP over gRPC that remembers every span.

use std::{
    net::TcpListener,
    sync::{Arc, Mutex},
};

use anyhow::Result;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::any_value::Value,
    resource::v1::Resource,
};
use tokio::runtime::Runtime;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// What is asked of a span.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) trace: Vec<u8>,
    pub(crate) id: Vec<u8>,
    /// Empty: none.
    pub(crate) parent: Vec<u8>,
}

/// Listens until it is dropped.
pub(crate) struct Receiver {
    url: String,
    spans: Spans,
    runtime: Runtime,
}

#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<Received>>>);

impl Receiver {
    pub(crate) fn start() -> Result<Receiver> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let (url, spans) = (format!("http://{}", listener.local_addr()?), Spans::default());
        let entered = runtime.enter();
        let incoming = TcpListenerStream::new(tokio::net::TcpListener::from_std(listener)?);
        let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(spans.clone()));
        runtime.spawn(server.serve_with_incoming(incoming));
        drop(entered);
        Ok(Receiver { url, spans, runtime })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    pub(crate) fn spans(&self) -> Vec<Received> {
        self.spans.0.lock().expect("no panic under this lock").clone()
    }
}

#[tonic::async_trait]
impl TraceService for Spans {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for of_resource in request.into_inner().resource_spans {
            let service = of_resource.resource.map(|resource| service(&resource)).unwrap_or_default();
            for span in of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans) {
                self.0.lock().expect("no panic under this lock").push(Received {
                    service: service.clone(),
                    name: span.name,
                    trace: span.trace_id,
                    id: span.span_id,
                    parent: span.parent_span_id,
                });
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn service(resource: &Resource) -> String {
    let name = resource.attributes.iter().find(|attribute| attribute.key == "service.name");
    match name.and_then(|name| name.value.clone()?.value) {
        Some(Value::StringValue(name)) => name,
        _ => String::new(),
    }
}
