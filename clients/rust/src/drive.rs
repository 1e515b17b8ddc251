//! Drives one source towards one target, in the pusher's thread.

use std::{convert::Infallible, sync::Arc};

use metrifold_clock as clock;
use metrifold_model::{DescriptorList, Incarnation, Namespace, Values, Worker};
use metrifold_push::{Due, Memory, Source, Transport};
use metrifold_session::{Answer, Instant, Payload, Push, PusherSettings};

use crate::{
    Settings,
    gather::Origin,
    shared::{Requests, Shared},
};

/// The memory of this process. Nobody goes on with it when the process has ended, so nothing is recorded of what was sent.
struct OwnMemory {
    origin: Origin,
    namespace: Namespace,
    worker: Worker,
    incarnation: Incarnation,
    shared: Arc<Shared>,
    descriptors: DescriptorList,
    /// The flushes that were asked for before the values were last read.
    flushes: u64,
}

impl Memory for OwnMemory {
    type Error = Infallible;

    fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    fn worker(&self) -> Worker {
        self.worker.clone()
    }

    fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    fn refresh(&mut self) -> Result<(&DescriptorList, Values), Infallible> {
        self.flushes = self.shared.requests().flush;
        let (descriptors, values, gathered) = self.origin.gather();
        if let Err(panic) = gathered {
            self.shared.failed(panic);
        }
        self.shared.left_out(self.origin.left_out());
        self.descriptors = descriptors;
        Ok((&self.descriptors, values))
    }
}

/// The only target.
const TARGET: usize = 0;

/// Drives the source until it ends.
pub(crate) struct Driver<T> {
    source: Source<OwnMemory>,
    transport: T,
    shared: Arc<Shared>,
    /// The requests that the source was told to hurry for.
    hurried: Option<Requests>,
}

impl<T: Transport> Driver<T> {
    pub(crate) fn new(origin: Origin, settings: &Settings, transport: T, shared: Arc<Shared>) -> Self {
        let memory = OwnMemory {
            origin,
            namespace: settings.namespace.clone(),
            worker: settings.worker(),
            incarnation: clock::fresh_incarnation(),
            shared: Arc::clone(&shared),
            descriptors: DescriptorList::default(),
            flushes: 0,
        };
        let pace = PusherSettings { interval: settings.push_interval, ..PusherSettings::default() };
        Driver {
            source: Source::new(memory, TARGET + 1, pace, clock::now()),
            transport,
            shared,
            hurried: None,
        }
    }

    /// Runs until the final push is acknowledged, or its deadline has passed.
    pub(crate) async fn run(mut self) {
        loop {
            let requests = self.shared.requests();
            let Some(deadline) = requests.deadline else {
                // Any change of requests ends a wait, but not an attempt: one push is in flight at most.
                self.step(requests).await;
                continue;
            };
            let last = async { while self.step(self.shared.requests()).await {} };
            if tokio::time::timeout_at(deadline.into(), last).await.is_err() {
                self.shared.failed("the last push was not acknowledged in time");
            }
            return;
        }
    }

    /// Does what is due next; false once there is nothing more to do.
    async fn step(&mut self, requests: Requests) -> bool {
        let now = clock::now();
        if requests.deadline.is_some() {
            self.source.end(now);
        }
        if self.hurried != Some(requests) && !(self.shared.is_flushed() && requests.deadline.is_none()) {
            self.hurried = Some(requests);
            self.source.hurry(now);
        }
        let Ok((due, next)) = self.source.due(now, clock::fresh_incarnation);
        if let Some(Due { push, .. }) = due.into_iter().next() {
            return self.send(&push, requests).await;
        }
        if self.source.is_done() {
            self.shared.done();
            return false;
        }
        self.wait(now, next).await;
        true
    }

    async fn wait(&self, now: Instant, until: Option<Instant>) {
        let wait = tokio::time::sleep(until.unwrap_or(now).since(now));
        tokio::select! { () = wait => {}, () = self.shared.woken() => {} }
    }

    async fn send(&mut self, push: &Push, requests: Requests) -> bool {
        self.shared.sent();
        match self.transport.push(self.source.memory().namespace(), push).await {
            Ok(answer) => self.answered(push, answer, requests),
            Err(unanswered) => {
                self.source.unanswered(TARGET);
                self.shared.failed(unanswered);
                true
            }
        }
    }

    fn answered(&mut self, push: &Push, answer: Answer, requests: Requests) -> bool {
        self.source.answered(TARGET, clock::now(), push.seq, answer);
        match answer {
            Answer::Ok { .. } if push.payload != Payload::Hello => {
                self.shared.acknowledged(self.source.memory().flushes);
                // Whoever asked while this push was under way is not served by it.
                self.hurried = None;
                true
            }
            Answer::Refused(refusal) => {
                self.shared.refused(refusal);
                // The same values would be refused again: no time is left for others.
                requests.deadline.is_none()
            }
            Answer::Sealed => {
                self.shared.failed("the store is sealed: it waits for a server to open or restore it");
                true
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests;
