//! Sources with counters, as a web application labels them.

use std::sync::Arc;

use anyhow::{Result, ensure};
use metrifold_model::{
    Descriptor, DescriptorList, Incarnation, Kind, Labels, Namespace, Seq, Values, Worker,
};
use metrifold_session::{Answer, DescriptorPart, Payload, Push};
use metrifold_store::{RedisStore, Store};

/// One source that pushes whenever it is told to.
pub(crate) struct LoadSource {
    incarnation: Incarnation,
    worker: Arc<Worker>,
    descriptors: DescriptorList,
    seq: u64,
}

pub(crate) fn descriptors(series: usize) -> DescriptorList {
    let counter = |index: usize| {
        let labels = Labels::new([
            ("method", ["GET", "POST", "PUT", "DELETE"][index % 4].to_owned()),
            ("path", format!("/api/v2/items/{}", index / 20)),
            ("status", ["200", "301", "404", "500", "503"][index / 4 % 5].to_owned()),
        ]);
        Descriptor::new(Kind::Counter, "http_requests", "http_requests_total", labels, "Requests answered.")
    };
    (0..series).map(counter).collect()
}

impl LoadSource {
    pub(crate) fn new(number: u64, descriptors: &DescriptorList) -> LoadSource {
        let worker = Worker {
            instance: format!("host-{}", number / 64),
            process: (1000 + number).to_string(),
            ..Worker::default()
        };
        // Spread like random ids.
        let incarnation = Incarnation(number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        LoadSource { incarnation, worker: Arc::new(worker), descriptors: descriptors.clone(), seq: 0 }
    }

    /// The next push: at first a hello with all descriptors, then values of which every one has changed.
    pub(crate) fn next(&mut self) -> Push {
        self.seq += 1;
        let known = if self.seq == 1 { 0 } else { self.descriptors.len() };
        // As many digits as counts have that went on for days.
        let value = |slot: usize| ((self.incarnation.0 >> 40) + self.seq * (slot as u64 % 97 + 1)) as f64;
        let values = || Values::from_slots((0..self.descriptors.len()).map(value).collect());
        Push {
            incarnation: self.incarnation,
            seq: Seq(self.seq),
            acked: Seq(self.seq - 1),
            epoch: None,
            worker: self.worker.clone(),
            descriptors: DescriptorPart::after(&self.descriptors, known),
            payload: if known == 0 { Payload::Hello } else { Payload::Values(values()) },
            base: None,
            ended: false,
        }
    }

    /// Pushes through a store, which may see this source for the first time.
    pub(crate) async fn push(&mut self, store: &RedisStore, namespace: &Namespace) -> Result<()> {
        let mut push = self.next();
        let mut answer = store.push(namespace, &push).await?;
        if answer == Answer::NeedDescriptors {
            push.descriptors = DescriptorPart::after(&self.descriptors, 0);
            answer = store.push(namespace, &push).await?;
        }
        ensure!(matches!(answer, Answer::Ok { .. }), "{answer:?}");
        Ok(())
    }
}
