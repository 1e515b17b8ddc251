//! The gRPC door, over a real socket.

mod support;

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context, Result, ensure};
use metrifold_collector::{GrpcTarget, Target, ingest};
use metrifold_model::{Descriptor, DescriptorList, Incarnation, Kind, Labels, Namespace, Values, Worker};
use metrifold_session::{Answer, Instant, Push, Pusher, PusherSettings, Refusal};
use metrifold_store::Store;
use metrifold_wire::v1::ingest_client::IngestClient;
use support::{store, total};
use tokio_stream::{StreamExt, wrappers::TcpListenerStream};
use tonic::{Code, transport::Server};

async fn serve(store: Arc<dyn Store>) -> Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let routes = ingest(store, Namespace::default()).await;
    tokio::spawn(Server::builder().add_routes(routes).serve_with_incoming(TcpListenerStream::new(listener)));
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
    let target = GrpcTarget::new(&format!("http://{}", serve(store.clone()).await?))?;
    let mut source = Source::new();
    for value in [1.0, 1.0, 5.0] {
        let push = source.push(value);
        let answer = target.push(&Namespace::default(), &push).await?;
        ensure!(matches!(answer, Answer::Ok { .. }), "{answer:?}");
        source.answered(&push, answer);
    }
    ensure!(total(&store).await?.0 == 5.0);
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
    ensure!(total(&store).await?.0 == 3.0);
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
    let target = GrpcTarget::new(&format!("http://{}", serve(store.clone()).await?))?;
    let mut source = Source::new();
    let hello = source.push(1.0);
    let answer = target.push(&Namespace::default(), &hello).await?;
    source.answered(&hello, answer);
    let mut push = source.push(1.0);
    push.descriptors = metrifold_session::DescriptorPart::after(&source.descriptors, 0);
    push.payload = metrifold_session::Payload::Values(Values::from_slots(vec![f64::NAN]));
    let answer = target.push(&Namespace::default(), &push).await?;
    ensure!(answer == Answer::Refused(Refusal::NotFinite), "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn nobody_there_is_an_error_that_says_so() -> Result<()> {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    let target = GrpcTarget::new(&format!("http://{free}"))?;
    let error = target.push(&Namespace::default(), &Source::new().push(1.0)).await.expect_err("nobody there");
    ensure!(error.to_string().to_lowercase().contains("refused"), "{error}");
    Ok(())
}
