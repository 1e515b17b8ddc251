//! The span of a push, in the traces of the process that makes it.

use opentelemetry::{
    Context,
    global::{self, BoxedTracer},
    trace::{SpanKind, Status, TraceContextExt, Tracer},
};
use tonic::{Request, metadata::MetadataMap};

use crate::Unanswered;

/// As in the servers' list of spans.
const PUSH_SPAN: &str = "metrifold push";

/// A push under way. Where the application has set no tracer provider, nothing is recorded or sent.
pub(crate) struct PushSpan(Context);

impl PushSpan {
    /// Begins, and names itself to the collector in W3C headers.
    pub(crate) fn begin<T>(request: &mut Request<T>) -> PushSpan {
        // Asked for anew: the application may set its provider after this thread has begun.
        let tracer: BoxedTracer = global::tracer("metrifold");
        let span = tracer.span_builder(PUSH_SPAN).with_kind(SpanKind::Client).start(&tracer);
        let context = Context::new().with_span(span);
        inject(&context, request.metadata_mut());
        PushSpan(context)
    }

    /// Ends, with the error if there is one.
    pub(crate) fn end<T>(self, outcome: Result<T, Unanswered>) -> Result<T, Unanswered> {
        if let Err(error) = &outcome {
            self.0.span().set_status(Status::error(error.to_string()));
        }
        self.0.span().end();
        outcome
    }
}

fn inject(context: &Context, headers: &mut MetadataMap) {
    let span = context.span();
    let span = span.span_context();
    if !span.is_valid() {
        return;
    }
    let parent = format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags());
    for (name, value) in [("traceparent", parent), ("tracestate", span.trace_state().header())] {
        if let (false, Ok(value)) = (value.is_empty(), value.parse()) {
            headers.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_that_nobody_records_has_no_headers() {
        let mut request = Request::new(());
        let span = PushSpan::begin(&mut request);
        assert!(request.metadata().is_empty());
        assert_eq!(span.end(Err::<(), _>(Unanswered("down".into()))), Err(Unanswered("down".into())));
    }
}
