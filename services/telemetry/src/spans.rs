//! The spans that more than one crate makes.

use tracing::{Span, debug_span};

use crate::names;

/// A push that goes out to a target.
pub fn push_span() -> Span {
    debug_span!(target: names::SPAN_TARGET, names::PUSH_SPAN, otel.kind = "client")
}

/// A push that has come in over gRPC.
pub fn ingest_span() -> Span {
    debug_span!(target: names::SPAN_TARGET, names::INGEST_SPAN, otel.kind = "server")
}
