//! The gRPC door, over a real socket.

mod support;

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use metrifold_channel::Token;
use metrifold_collector::{guarded_ingest, ingest};
use metrifold_model::{Descriptor, DescriptorList, Incarnation, Kind, Labels, Namespace, Values, Worker};
use metrifold_push::{GrpcTransport, Transport};
use metrifold_session::{Answer, Instant, Push, Pusher, PusherSettings, Refusal};
use metrifold_store::{ShardIndex, Store};
use metrifold_wire::v1::ingest_client::IngestClient;
use support::{fragile::Fragile, store, total};
use tokio::sync::watch;
use tokio_stream::StreamExt;
use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest,
};

async fn serve(store: Arc<dyn Store>) -> Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    // As the servers mount it: beside HTTP, without TLS.
    let router = ingest(store, Namespace::default()).await.into_axum_router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

/// The pushes of a source with one counter, as they would follow each other.
struct Source {
    pusher: Pusher,
    descriptors: DescriptorList,
}

impl Source {
    fn new() -> Source {
        let counter = Descriptor::new(Kind::Counter, "events", "events_total", Labels::default(), "Events");
        let pusher = Pusher::new(Incarnation(7), Worker::default(), PusherSettings::default(), Instant(0));
        Source { pusher, descriptors: [counter].into_iter().collect() }
    }

    fn push(&mut self, value: f64) -> Push {
        self.pusher.offer(Instant(1), &self.descriptors, Values::from_slots(vec![value]), false)
    }

    fn answered(&mut self, push: &Push, answer: Answer) {
        self.pusher.answered(Instant(1), push.seq, answer);
    }
}

#[tokio::test]
async fn pushes_arrive_over_tcp() -> Result<()> {
    let store = store()?;
    let target =
        GrpcTransport::new(&format!("http://{}", serve(store.clone()).await?).parse()?, Token::default())?;
    let mut source = Source::new();
    for value in [1.0, 1.0, 5.0] {
        let push = source.push(value);
        let answer = target.push(&Namespace::default(), &push).await?;
        ensure!(matches!(answer, Answer::Ok { .. }), "{answer:?}");
        source.answered(&push, answer);
    }
    ensure!(total(&*store).await?.0 == 5.0);
    Ok(())
}

#[tokio::test]
async fn a_stream_answers_every_push_in_order() -> Result<()> {
    let store = store()?;
    let mut client = IngestClient::connect(format!("http://{}", serve(store.clone()).await?)).await?;
    let mut source = Source::new();
    let hello = source.push(1.0);
    let (sender, requests) = tokio::sync::mpsc::channel(4);
    let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
    sender.send(metrifold_wire::request(&Namespace::default(), &hello)).await?;
    let mut answers = client.push_stream(requests).await?.into_inner();
    let mut push = hello;
    for value in [1.0, 2.0, 3.0] {
        let response = answers.next().await.context("an answer")??;
        let (seq, reply) = metrifold_wire::parse_response(response)?;
        let metrifold_wire::Reply::Answer(answer) = reply else { anyhow::bail!("{reply:?}") };
        ensure!(seq == push.seq);
        source.answered(&push, answer);
        push = source.push(value);
        sender.send(metrifold_wire::request(&Namespace::default(), &push)).await?;
    }
    answers.next().await.context("the last answer")??;
    ensure!(total(&*store).await?.0 == 3.0);
    Ok(())
}

#[tokio::test]
async fn a_malformed_push_is_refused_by_field_and_the_next_is_taken() -> Result<()> {
    let store = store()?;
    let address = serve(store.clone()).await?;
    let mut client = IngestClient::connect(format!("http://{address}")).await?;
    let mut source = Source::new();
    let good = metrifold_wire::request(&Namespace::default(), &source.push(1.0));
    let mut bad = good.clone();
    bad.worker = None;
    let status = client.push(bad).await.expect_err("refused");
    ensure!(status.code() == Code::InvalidArgument && status.message().contains("worker"), "{status}");
    client.push(good).await?;
    Ok(())
}

#[tokio::test]
async fn a_counter_that_is_not_finite_is_refused() -> Result<()> {
    let store = store()?;
    let target =
        GrpcTransport::new(&format!("http://{}", serve(store.clone()).await?).parse()?, Token::default())?;
    let mut source = Source::new();
    let hello = source.push(1.0);
    let answer = target.push(&Namespace::default(), &hello).await?;
    source.answered(&hello, answer);
    let mut push = source.push(1.0);
    push.descriptors = metrifold_session::DescriptorPart::after(&source.descriptors, 0);
    push.payload = metrifold_session::Payload::Values(Values::from_slots(vec![f64::NAN]));
    let answer = target.push(&Namespace::default(), &push).await?;
    ensure!(answer == Answer::Refused(Refusal::NotFinite), "{answer:?}");
    source.answered(&push, answer);

    // Also if the slot was described by an earlier push.
    let push = source.push(2.0);
    let answer = target.push(&Namespace::default(), &push).await?;
    source.answered(&push, answer);
    let mut push = source.push(3.0);
    ensure!(push.descriptors.entries.is_empty(), "the store knows them");
    push.payload = metrifold_session::Payload::Values(Values::from_slots(vec![f64::INFINITY]));
    let answer = target.push(&Namespace::default(), &push).await?;
    ensure!(answer == Answer::Refused(Refusal::NotFinite), "{answer:?}");
    ensure!(total(&*store).await?.0 == 2.0);
    Ok(())
}

#[tokio::test]
async fn nobody_there_is_an_error_that_says_so() -> Result<()> {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    let target = GrpcTransport::new(&format!("http://{free}").parse()?, Token::default())?;
    let error = target.push(&Namespace::default(), &Source::new().push(1.0)).await.expect_err("nobody there");
    ensure!(error.to_string().to_lowercase().contains("refused"), "{error}");
    Ok(())
}

/// An outage of the store must not cost a source its stream, and is told apart from a refusal.
#[tokio::test]
async fn a_store_outage_is_answered_as_unavailable() -> Result<()> {
    let store = Fragile::sealed();
    store.restore(&Namespace::default(), ShardIndex(0), None, Duration::ZERO).await?;
    let address = serve(store.clone()).await?;
    let mut client = IngestClient::connect(format!("http://{address}")).await?;
    let request = metrifold_wire::request(&Namespace::default(), &Source::new().push(1.0));
    store.fails.store(true, Ordering::Relaxed);
    let status = client.push(request.clone()).await.expect_err("the store fails");
    ensure!(status.code() == Code::Unavailable, "{status}");

    let (sender, requests) = tokio::sync::mpsc::channel(4);
    sender.send(request.clone()).await?;
    let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
    let mut answers = client.push_stream(requests).await?.into_inner();
    let (_, reply) = metrifold_wire::parse_response(answers.next().await.context("an answer")??)?;
    ensure!(matches!(reply, metrifold_wire::Reply::Unavailable { .. }), "{reply:?}");
    store.fails.store(false, Ordering::Relaxed);
    sender.send(request).await?;
    let (_, reply) = metrifold_wire::parse_response(answers.next().await.context("an answer")??)?;
    ensure!(matches!(reply, metrifold_wire::Reply::Answer(Answer::Ok { .. })), "{reply:?}");
    Ok(())
}

#[tokio::test]
async fn health_and_reflection_answer() -> Result<()> {
    let address = format!("http://{}", serve(store()?).await?);
    let channel = tonic::transport::Endpoint::from_shared(address)?.connect().await?;
    let mut health = HealthClient::new(channel.clone());
    for service in ["", "metrifold.v1.Ingest"] {
        let response = health.check(HealthCheckRequest { service: service.into() }).await?.into_inner();
        ensure!(response.status() == ServingStatus::Serving, "{service}: {response:?}");
    }
    let list = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(channel);
    let mut answers = reflection.server_reflection_info(tokio_stream::once(list)).await?.into_inner();
    let answer = answers.next().await.context("an answer")??;
    ensure!(format!("{answer:?}").contains("metrifold.v1.Ingest"), "{answer:?}");
    Ok(())
}

/// A load balancer that asks for the health of a collector sends pushes elsewhere while its store is away.
#[tokio::test]
async fn the_health_service_says_whether_the_store_can_be_used() -> Result<()> {
    let (sender, is_serving) = watch::channel(false);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let router = guarded_ingest(store()?, Namespace::default(), |_, _| Ok(()), is_serving).await;
    tokio::spawn(async move { axum::serve(listener, router.into_axum_router()).await });
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
    let health = HealthClient::new(channel);
    let status = async |service: &str| -> Result<ServingStatus> {
        let request = HealthCheckRequest { service: service.into() };
        Ok(health.clone().check(request).await?.into_inner().status())
    };
    for (is_good, expected) in [
        (false, ServingStatus::NotServing),
        (true, ServingStatus::Serving),
        (false, ServingStatus::NotServing),
    ] {
        sender.send_replace(is_good);
        for service in ["", "metrifold.v1.Ingest"] {
            metrifold_tests::eventually_async(|| async {
                let status = status(service).await?;
                ensure!(status == expected, "{service:?} is {status:?}, not {expected:?}");
                Ok(())
            })
            .await?;
        }
    }
    Ok(())
}
