//! Traces, as a receiver of OTLP gets them.

mod receiver;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use metrifold_client::Pusher;
use metrifold_telemetry::names;
use metrifold_tests::{Redis, Server, binary, eventually, free_port};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use prometheus::{IntCounter, Registry};
use receiver::Receiver;
use rustix::process::Signal;

const PATIENCE: Duration = Duration::from_secs(20);

/// The spans that tell of one push: the application's, the collector's below it, and below that the write to Redis.
#[test]
fn one_trace_leads_from_a_clients_push_to_the_redis_write() -> Result<()> {
    let (redis, receiver, directory) = (Redis::start()?, Receiver::start()?, tempfile::tempdir()?);
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url()),
        ("OTEL_SERVICE_NAME", "the-collector"),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ];
    let arguments = ["collector", "--redis-url", &redis.url()];
    let mut collector = Server::with("collector", &arguments, &environment, directory.path())?;
    // The agent's own pushes begin traces too.
    let segments = directory.path().join("segments");
    let arguments = ["agent", "--to", collector.url(), "--segment-dir", &segments.display().to_string()];
    let environment = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", receiver.url()),
        ("OTEL_SERVICE_NAME", "the-agent"),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ];
    let _agent = Server::with("agent", &arguments, &environment, directory.path())?;

    let application = application(&receiver)?;
    let _direct = pusher(collector.url())?;
    let _local = pusher(&format!("local:{}", segments.display()))?;
    for service in ["the-application", "the-agent"] {
        eventually(&format!("a whole trace of {service}"), PATIENCE, || {
            let spans = receiver.spans();
            let below = |name: &str, parent: &receiver::Received| {
                spans
                    .iter()
                    .find(|span| span.name == name && span.parent == parent.id && span.trace == parent.trace)
            };
            let is_whole = |push: &receiver::Received| {
                let ingest = below(names::INGEST_SPAN, push)?;
                let write = below(names::REDIS_WRITE, ingest)?;
                (ingest.service == "the-collector" && write.service == "the-collector").then_some(())
            };
            let mut pushes =
                spans.iter().filter(|span| span.name == names::PUSH_SPAN && span.service == service);
            pushes.find_map(is_whole).with_context(|| format!("{spans:#?}"))
        })?;
    }
    // What a server does by itself every second is no trace.
    let orphans =
        receiver.spans().into_iter().filter(|span| span.parent.is_empty() && span.name != names::PUSH_SPAN);
    ensure!(orphans.count() == 0, "spans outside of a push: {:#?}", receiver.spans());

    application.shutdown()?;
    // The last spans are sent at the end, however long a batch may wait.
    collector.process().signal(Signal::TERM)?;
    ensure!(collector.process().wait(PATIENCE)?.success(), "{}", collector.log());
    Ok(())
}

/// The tracer provider that an application sets up for itself.
fn application(receiver: &Receiver) -> Result<SdkTracerProvider> {
    let _runtime = receiver.runtime().enter();
    let exporter =
        opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(receiver.url()).build()?;
    let provider = SdkTracerProvider::builder()
        .with_resource(Resource::builder().with_service_name("the-application").build())
        .with_simple_exporter(exporter)
        .build();
    opentelemetry::global::set_tracer_provider(provider.clone());
    Ok(provider)
}

fn pusher(target: &str) -> Result<Pusher> {
    let registry = Registry::new();
    let events = IntCounter::new("events_total", "Events.")?;
    registry.register(Box::new(events.clone()))?;
    events.inc();
    Ok(Pusher::builder()
        .registry(registry)
        .target(target)
        .push_interval(Duration::from_millis(100))
        .start()?)
}

#[test]
fn a_receiver_that_is_not_there_harms_nothing_and_is_said_once() -> Result<()> {
    let (redis, directory) = (Redis::start()?, tempfile::tempdir()?);
    let nobody = format!("http://127.0.0.1:{}", free_port()?);
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", nobody.as_str()),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "100"),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
    ];
    let arguments =
        ["serve", "--redis-url", &redis.url(), "--segment-dir", &directory.path().display().to_string()];
    let mut server = Server::with("serve", &arguments, &environment, directory.path())?;
    let complaint = "spans cannot be delivered";
    let pusher = pusher(server.url())?;
    eventually("the complaint", PATIENCE, || {
        ensure!(server.log().contains(complaint), "{}", server.log());
        Ok(())
    })?;
    for _ in 0..20 {
        pusher.flush(PATIENCE)?;
    }
    drop(pusher);
    server.process().signal(Signal::TERM)?;
    ensure!(server.process().wait(PATIENCE)?.success(), "{}", server.log());
    let log = server.log();
    ensure!(log.matches(complaint).count() == 1 && log.contains(&nobody), "{log}");
    Ok(())
}

#[test]
fn traces_that_cannot_be_sent_as_asked_are_refused_at_the_start() -> Result<()> {
    let mut command = std::process::Command::new(binary()?);
    let output = command.arg("serve").env("OTEL_TRACES_EXPORTER", "zipkin").output()?;
    let complaint = String::from_utf8(output.stderr)?;
    ensure!(!output.status.success() && complaint.contains("OTEL_TRACES_EXPORTER=\"zipkin\""), "{complaint}");
    Ok(())
}
