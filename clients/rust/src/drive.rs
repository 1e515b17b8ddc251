//! The pusher's machine with a clock, a source and a transport: gather, offer, send, answer.

use std::{sync::Arc, time::Duration};

use metrifold_clock as clock;
use metrifold_session::{Answer, Payload, Push, Pusher, Step};

use crate::{
    shared::{Shared, Wishes},
    source::Source,
};

/// Carries one push to the target.
pub(crate) trait Transport {
    /// Sends `push` and waits for its answer. An error means that none came; whether the push arrived is unknown. May be
    /// cancelled at any time.
    fn send(&mut self, push: &Push) -> impl Future<Output = Result<Answer, String>>;

    /// The last attempt took too long: the next one must not depend on anything that may hang.
    fn reset(&mut self);
}

/// How long one attempt may take: as long as the longest wait between attempts, so that a target that comes back hears
/// of every source in time,
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1500);
/// and longer for large pushes, by the time that they take on a slow line (some 10 Mbit/s).
const ATTEMPT_TIMEOUT_PER_SLOT: Duration = Duration::from_micros(100);

/// Drives one source towards one target until the source ends.
pub(crate) struct Driver<T> {
    machine: Pusher,
    source: Source,
    transport: T,
    shared: Arc<Shared>,
    /// The flushes that were asked for before the last gather.
    gathered: u64,
    /// The wishes that the machine was told to hurry for.
    hurried: Option<Wishes>,
}

impl<T: Transport> Driver<T> {
    pub(crate) fn new(machine: Pusher, source: Source, transport: T, shared: Arc<Shared>) -> Self {
        Driver { machine, source, transport, shared, gathered: 0, hurried: None }
    }

    /// Runs until the final push is acknowledged, or its deadline has passed.
    pub(crate) async fn run(mut self) {
        loop {
            let wishes = self.shared.wishes();
            let Some(deadline) = wishes.deadline else {
                // Any change of wishes ends a wait, but not an attempt: one push is in flight at most.
                self.step(wishes).await;
                continue;
            };
            let last = async { while self.step(self.shared.wishes()).await {} };
            if tokio::time::timeout_at(deadline.into(), last).await.is_err() {
                self.shared.failed("the last push was not acknowledged in time");
            }
            return;
        }
    }

    /// Does what the machine wants next; false once there is nothing more to do.
    async fn step(&mut self, wishes: Wishes) -> bool {
        let now = clock::now();
        if self.hurried != Some(wishes) && !(self.shared.is_flushed() && wishes.deadline.is_none()) {
            self.hurried = Some(wishes);
            self.machine.hurry(now);
        }
        match self.machine.poll(now, clock::fresh_incarnation()) {
            Step::Gather => {
                let push = self.gather(wishes);
                self.send(push, wishes).await
            }
            Step::Resend(push) => self.send(*push, wishes).await,
            Step::Wait(until) => {
                let wait = tokio::time::sleep(until.since(now));
                tokio::select! { () = wait => {}, () = self.shared.woken() => {} }
                true
            }
            Step::Done => {
                self.shared.done();
                false
            }
        }
    }

    fn gather(&mut self, wishes: Wishes) -> Push {
        let (descriptors, values, gathered) = self.source.gather();
        if let Err(panic) = gathered {
            self.shared.failed(panic);
        }
        self.shared.left_out(self.source.left_out());
        self.gathered = wishes.flush;
        self.machine.offer(clock::now(), &descriptors, values, wishes.deadline.is_some())
    }

    async fn send(&mut self, push: Push, wishes: Wishes) -> bool {
        self.shared.sent();
        let slots = u32::try_from(push.descriptors.count()).unwrap_or(u32::MAX);
        let limit = ATTEMPT_TIMEOUT + ATTEMPT_TIMEOUT_PER_SLOT * slots;
        match tokio::time::timeout(limit, self.transport.send(&push)).await {
            Ok(Ok(answer)) => self.answered(&push, answer, wishes),
            Ok(Err(error)) => {
                self.shared.failed(error);
                true
            }
            Err(_) => {
                self.transport.reset();
                self.shared.failed(format_args!("no answer within {limit:?}"));
                true
            }
        }
    }

    fn answered(&mut self, push: &Push, answer: Answer, wishes: Wishes) -> bool {
        let now = clock::now();
        self.machine.answered(now, push.seq, answer);
        match answer {
            Answer::Ok { .. } if push.payload != Payload::Hello => {
                self.shared.acknowledged(self.gathered);
                // Whoever asked while this push was under way is not served by it.
                self.hurried = None;
                true
            }
            Answer::Refused(refusal) => {
                self.shared.refused(refusal);
                // The same values would be refused again: no time is left for others.
                wishes.deadline.is_none()
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
