//! Pushes as parts of their callers' traces.

use axum::{extract::Request, middleware::Next, response::Response};
use metrifold_telemetry::{continue_trace, ingest_span, names};
use tracing::Instrument;

/// Answers a request within a span, if it is a push and pushes are traced.
pub(super) async fn traced(request: Request, next: Next) -> Response {
    if request.uri().path().strip_prefix('/') != Some(names::INGEST_SPAN) {
        return next.run(request).await;
    }
    let span = ingest_span();
    continue_trace(&span, |name| request.headers().get(name)?.to_str().ok());
    next.run(request).instrument(span).await
}
