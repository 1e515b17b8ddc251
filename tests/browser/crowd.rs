//! Many workers at once, as a web application has them; each pushes once, straight to Redis or through a server's door.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use metrifold_model::{
    Descriptor, DescriptorList, GaugeMode, Incarnation, Kind, Labels, Namespace, Seq, Values, Worker, limits,
};
use metrifold_session::{Answer, DescriptorPart, Payload, Push};
use metrifold_store::{RedisSettings, RedisStore, Store};
use metrifold_tests::eventually;
use metrifold_wire::{Reply, v1::ingest_client::IngestClient};
use tokio::{runtime::Runtime, task::JoinSet};

const WORKERS_PER_HOST: u64 = 64;
/// Workers that push at the same time: more would only wait for each other.
const AT_ONCE: usize = 16;
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Crowd {
    runtime: Runtime,
    store: Arc<RedisStore>,
    namespace: Namespace,
}

/// What a worker does.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Role {
    /// It lives on.
    Lives,
    /// It ends at once.
    Ends,
    /// It calls a counter of the others a gauge.
    Disagrees,
    /// It has a help text that is longer than any may be.
    Rambles,
}

impl Crowd {
    pub(crate) fn new(url: &str, namespace: &str) -> Result<Crowd> {
        let runtime = Runtime::new()?;
        let settings = RedisSettings::new(url.parse()?);
        let store = Arc::new(runtime.block_on(async { RedisStore::connect(settings) })?);
        Ok(Crowd { runtime, store, namespace: Namespace::new(namespace)? })
    }

    /// Lets workers with these numbers push.
    pub(crate) fn push(&self, numbers: impl Iterator<Item = u64>, role: Role) -> Result<()> {
        let descriptors = descriptors(role);
        let numbers: Vec<_> = numbers.collect();
        numbers.chunks(AT_ONCE).try_for_each(|numbers| {
            let pushes: Vec<_> = numbers.iter().map(|number| pushes(*number, role, &descriptors)).collect();
            // Every push may simply be repeated, and is on a machine that is busy with other things.
            eventually("the pushes are accepted", PATIENCE, || self.runtime.block_on(self.accepted(&pushes)))
        })
    }

    async fn accepted(&self, pushes: &[Vec<Push>]) -> Result<()> {
        let mut tasks = JoinSet::new();
        for pushes in pushes {
            let (store, namespace, pushes) = (self.store.clone(), self.namespace.clone(), pushes.clone());
            tasks.spawn(async move {
                for push in &pushes {
                    let answer = store.push(&namespace, push).await?;
                    // One that is repeated after it was accepted is behind its successor.
                    ensure!(matches!(answer, Answer::Ok { .. } | Answer::Behind { .. }), "{answer:?}");
                }
                Ok(())
            });
        }
        while let Some(pushed) = tasks.join_next().await {
            pushed??;
        }
        Ok(())
    }
}

/// Lets one worker push over gRPC until it is refused; the last answer.
pub(crate) fn push_over_grpc(url: &str, namespace: &str, number: u64, role: Role) -> Result<Answer> {
    let namespace = Namespace::new(namespace)?;
    Runtime::new()?.block_on(async {
        let mut client = IngestClient::connect(url.to_owned()).await?;
        let mut last = None;
        for push in pushes(number, role, &descriptors(role)) {
            let response = client.push(metrifold_wire::request(&namespace, &push)).await?.into_inner();
            let (_, Reply::Answer(answer)) = metrifold_wire::parse_response(response)? else {
                bail!("the store is unavailable")
            };
            last = Some(answer);
            if matches!(answer, Answer::Refused(_)) {
                break;
            }
        }
        last.context("a worker pushes something")
    })
}

fn descriptors(role: Role) -> DescriptorList {
    let mut descriptors = DescriptorList::default();
    for path in ["/", "/cart", "/checkout", "/items", "/search", "/login", "/logout", "/health"] {
        for status in ["200", "404", "500"] {
            let labels = Labels::new([("method", "GET"), ("path", path), ("status", status)]);
            descriptors.push(Descriptor::new(
                Kind::Counter,
                "http_requests",
                "http_requests_total",
                labels,
                "Requests answered.",
            ));
        }
    }
    for bound in ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "+Inf"] {
        let labels = Labels::new([("le", bound)]);
        let name = "http_request_duration_seconds";
        descriptors.push(Descriptor::new(
            Kind::Histogram,
            name,
            format!("{name}_bucket"),
            labels,
            "Time to answer.",
        ));
    }
    let kind = if role == Role::Disagrees { Kind::Gauge(GaugeMode::Max) } else { Kind::Counter };
    let sample = if role == Role::Disagrees { "jobs" } else { "jobs_total" };
    let help = if role == Role::Rambles {
        "Jobs done. ".repeat(limits::HELP_BYTES_MAX)
    } else {
        "Jobs done.".into()
    };
    // Past what a client would cut.
    descriptors.push(Descriptor { help, ..Descriptor::new(kind, "jobs", sample, Labels::default(), "") });
    descriptors
}

/// A hello, values, and an end if that is the role.
fn pushes(number: u64, role: Role, descriptors: &DescriptorList) -> Vec<Push> {
    let worker = Arc::new(Worker {
        instance: format!("web-{:02}.example.com", number / WORKERS_PER_HOST),
        process: (4_000 + number).to_string(),
        labels: Labels::default(),
    });
    // Spread like random ids.
    let incarnation = Incarnation(number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let push = |seq: u64, payload| Push {
        incarnation,
        seq: Seq(seq),
        acked: Seq(seq - 1),
        epoch: None,
        worker: worker.clone(),
        descriptors: DescriptorPart::after(descriptors, if seq == 1 { 0 } else { descriptors.len() }),
        payload,
        base: None,
        ended: seq > 1 && role == Role::Ends,
    };
    let values = (0..descriptors.len()).map(|slot| (number % 100 + slot as u64) as f64).collect();
    vec![push(1, Payload::Hello), push(2, Payload::Values(Values::from_slots(values)))]
}
