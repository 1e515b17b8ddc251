//! Traces over OTLP, if the standard `OTEL_*` variables ask for them.
//!
//! Off by default, and then no span is ever made: every span of this project has the target [`names::SPAN_TARGET`] and
//! the level `DEBUG`, which neither the log nor anybody else listens to. A span is made per push, never per sample.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use opentelemetry::{
    propagation::TextMapPropagator,
    trace::{TraceContextExt, TracerProvider},
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    propagation::TraceContextPropagator,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

use crate::names;

/// How long the last spans may take at the end: a receiver that hangs must not hold up a restart.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// That traces are wanted, and where they go to. Sampler, resource, headers, time-outs and batches are read by the
/// OpenTelemetry SDK from its own variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceSettings {
    endpoint: String,
}

/// Why there can be no traces.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// An exporter that is not built in.
    #[error("OTEL_TRACES_EXPORTER={0:?} is not understood; use otlp or none")]
    Exporter(String),
    /// A protocol that is not built in.
    #[error("{variable}={given:?} is not spoken here; use grpc (port 4317 of an OpenTelemetry collector)")]
    Protocol {
        /// Which variable.
        variable: &'static str,
        /// What was given.
        given: String,
    },
    /// The receiver would need TLS.
    #[error(
        "traces go to {0} over TLS, which is not built in; send them to an OpenTelemetry collector beside this process"
    )]
    Tls(String),
    /// The SDK refused the rest of its variables.
    #[error("traces cannot be sent to {endpoint}: {reason}")]
    Refused {
        /// The receiver.
        endpoint: String,
        /// What the SDK says.
        reason: String,
    },
}

impl TraceSettings {
    /// Reads `variables`; `None` if they do not ask for traces. They do if an endpoint is set or
    /// `OTEL_TRACES_EXPORTER` is `otlp`, unless that is `none` or `OTEL_SDK_DISABLED` is `true`.
    ///
    /// # Errors
    /// If they ask for something that is not built in.
    pub fn read(variables: &HashMap<String, String>) -> Result<Option<TraceSettings>, TraceError> {
        let set =
            |name: &str| variables.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
        let first = |names: [&'static str; 2]| names.into_iter().find_map(|name| Some((name, set(name)?)));
        let endpoint = first(["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"]);
        let is_disabled = set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let is_wanted = match set("OTEL_TRACES_EXPORTER") {
            _ if is_disabled => false,
            Some("otlp") => true,
            Some("none") => false,
            Some(other) => return Err(TraceError::Exporter(other.into())),
            None => endpoint.is_some(),
        };
        if !is_wanted {
            return Ok(None);
        }
        let endpoint = endpoint.map_or("http://localhost:4317", |(_, endpoint)| endpoint);
        if endpoint.starts_with("https:") {
            return Err(TraceError::Tls(endpoint.into()));
        }
        match first(["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"]) {
            None | Some((_, "grpc")) => Ok(Some(TraceSettings { endpoint: endpoint.into() })),
            Some((variable, given)) => Err(TraceError::Protocol { variable, given: given.into() }),
        }
    }
}

/// Spans on their way; they need a tokio runtime for as long as this lives.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Starts to export. The receiver need not be there: nothing waits for it, and what it does not take in time is
    /// dropped.
    ///
    /// # Errors
    /// If the SDK refuses a variable.
    pub fn start(settings: &TraceSettings) -> Result<Traces, TraceError> {
        let endpoint = settings.endpoint.clone();
        let exporter = opentelemetry_otlp::SpanExporter::builder().with_tonic().build();
        let exporter = exporter
            .map_err(|error| TraceError::Refused { endpoint: endpoint.clone(), reason: error.to_string() })?;
        let provider = SdkTracerProvider::builder()
            .with_resource(resource())
            .with_batch_exporter(Announced { exporter, endpoint, is_failing: AtomicBool::new(false) })
            .build();
        // For what is not written with `tracing`: the pushes of `metrifold-push`, which clients make too.
        opentelemetry::global::set_tracer_provider(provider.clone());
        Ok(Traces { provider })
    }

    /// What a subscriber needs so that spans reach the exporter.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("metrifold"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_level(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(|metadata| metadata.is_span() && metadata.target() == names::SPAN_TARGET))
    }

    /// Sends the last spans, for two seconds at most, and ends.
    pub async fn end(self) {
        // The SDK blocks.
        let flush = tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(END_TIMEOUT));
        if !matches!(tokio::time::timeout(END_TIMEOUT, flush).await, Ok(Ok(Ok(())))) {
            tracing::warn!("the last spans were not delivered in time and are dropped");
        }
    }
}

/// `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`; without them, the service is called metrifold.
fn resource() -> Resource {
    const SERVICE_NAME: &str = "service.name";
    let detected = Resource::builder().build();
    let name = detected.get(&SERVICE_NAME.into()).map(|name| name.to_string());
    let is_named = name.is_some_and(|name| !name.starts_with("unknown_service"));
    let builder = Resource::builder();
    if is_named { builder.build() } else { builder.with_service_name("metrifold").build() }
}

/// An exporter that says once that it fails, and once that it works again.
#[derive(Debug)]
struct Announced<E> {
    exporter: E,
    endpoint: String,
    is_failing: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for Announced<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let outcome = self.exporter.export(batch).await;
        let has_failed = self.is_failing.swap(outcome.is_err(), Ordering::Relaxed);
        match &outcome {
            Err(error) if !has_failed => {
                tracing::warn!(endpoint = %self.endpoint, %error, spans, "spans cannot be delivered and are dropped until they can; this is said once");
            }
            Ok(()) if has_failed => tracing::info!(endpoint = %self.endpoint, "spans are delivered again"),
            _ => {}
        }
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// Makes `span` a child of the span that a caller names in its W3C headers, if it names one.
pub fn continue_trace<'a>(span: &Span, header: impl Fn(&str) -> Option<&'a str>) {
    if span.is_disabled() {
        return;
    }
    let headers = W3C_HEADERS.iter().filter_map(|name| Some(((*name).to_owned(), header(name)?.to_owned())));
    let caller = TraceContextPropagator::new().extract(&headers.collect::<HashMap<_, _>>());
    if caller.span().span_context().is_valid() {
        // It fails only for a span that was entered before, or one that nobody records.
        let _ = span.set_parent(caller);
    }
}

const W3C_HEADERS: [&str; 2] = ["traceparent", "tracestate"];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<TraceSettings>, TraceError> {
        TraceSettings::read(
            &variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        )
    }

    fn endpoint(variables: &[(&str, &str)]) -> Option<String> {
        read(variables).expect("understood").map(|settings| settings.endpoint)
    }

    #[test]
    fn traces_are_off_unless_they_are_asked_for() {
        assert_eq!(endpoint(&[]), None);
        assert_eq!(endpoint(&[("OTEL_SERVICE_NAME", "shop"), ("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]), None);
        let there = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://there:4317");
        assert_eq!(endpoint(&[there]).as_deref(), Some("http://there:4317"));
        assert_eq!(endpoint(&[there, ("OTEL_TRACES_EXPORTER", "none")]), None);
        assert_eq!(endpoint(&[there, ("OTEL_SDK_DISABLED", "TRUE")]), None);
        assert_eq!(endpoint(&[("OTEL_TRACES_EXPORTER", "otlp")]).as_deref(), Some("http://localhost:4317"));
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4317");
        assert_eq!(endpoint(&[there, own]).as_deref(), Some("http://traces:4317"));
    }

    #[test]
    fn what_is_not_built_in_is_refused_by_name() {
        let there = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://there:4318");
        for (variables, named) in [
            (vec![("OTEL_TRACES_EXPORTER", "zipkin")], "zipkin"),
            (vec![there, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")], "OTEL_EXPORTER_OTLP_PROTOCOL"),
            (vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "https://there")], "https://there"),
        ] {
            let error = read(&variables).expect_err("not built in").to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
