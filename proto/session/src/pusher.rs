//! The pusher's side: what a source sends next.

use std::{sync::Arc, time::Duration};

use metrifold_model::{DescriptorList, Epoch, Incarnation, Seq, Values, Worker, limits};

use crate::{Answer, DescriptorPart, Instant, Payload, Push, Refusal, sound};

/// How a pusher paces itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PusherSettings {
    /// Time between pushes. Default 1 s.
    pub interval: Duration,
    /// First wait before an unanswered push is sent again; doubles up to `retry_max`. Default 100 ms.
    pub retry_min: Duration,
    /// Longest wait between attempts: half of `store.settle`, so that a restored store hears of every source before
    /// it settles. Default 1.5 s.
    pub retry_max: Duration,
    /// Without an answer for half of this, the incarnation is given up. Default 24 h.
    pub tombstone_lifetime: Duration,
}

impl Default for PusherSettings {
    fn default() -> Self {
        PusherSettings {
            interval: Duration::from_secs(1),
            retry_min: Duration::from_millis(100),
            retry_max: Duration::from_millis(1500),
            tombstone_lifetime: Duration::from_secs(24 * 3600),
        }
    }
}

/// What a pusher wants of its driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read the source's values and call [`Pusher::offer`].
    Gather,
    /// Send this push again, unchanged.
    Resend(Box<Push>),
    /// Nothing before this instant (an answer may come earlier).
    Wait(Instant),
    /// The final push is acknowledged: the source may be forgotten.
    Done,
}

/// The part of a pusher that must outlive its process, for whoever goes on with the source.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PusherState {
    /// The incarnation in use towards this target; differs from the segment's after an `expired`.
    pub incarnation: Incarnation,
    /// The last number that was, or may have been, sent.
    pub sent: Seq,
    /// The last number that was acknowledged.
    pub acked: Seq,
    /// The epoch of the last `ok`.
    pub epoch: Option<Epoch>,
    /// The values of the last push that carried some.
    pub values: Option<Values>,
    /// What the archive holds of former incarnations of this source.
    pub base: Option<Values>,
    /// When the target last answered, on the boot-time clock. A state from before a reboot may hold a later instant
    /// than the present one; it then counts as answered now.
    pub answered: Instant,
}

/// Decides what one source sends to one target. One push is in flight at most.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pusher {
    state: PusherState,
    worker: Arc<Worker>,
    settings: PusherSettings,
    /// Descriptors that the target has for sure.
    descriptors_acked: usize,
    /// The push that is not answered yet.
    in_flight: Option<Push>,
    /// The target has a record or tombstone of this incarnation, so values may be sent.
    is_greeted: bool,
    /// The next push must carry values even if they did not change.
    needs_values: bool,
    is_done: bool,
    /// The target has forgotten this incarnation.
    is_expired: bool,
    /// What the push in flight replaced in `state.values`, as long as it was sent only once: if the target says that
    /// it did not store that push, nobody did. A push sent twice may have been stored by its first copy.
    replaced: Option<Option<Values>>,
    next_at: Instant,
    attempts: u32,
}

impl Pusher {
    /// A pusher for a source that this target has never heard of.
    pub fn new(incarnation: Incarnation, worker: Worker, settings: PusherSettings, now: Instant) -> Self {
        let state = PusherState {
            incarnation,
            sent: Seq(0),
            acked: Seq(0),
            epoch: None,
            values: None,
            base: None,
            answered: now,
        };
        Pusher::resume(state, worker, settings, now)
    }

    /// A pusher that goes on where another holder of the source stopped. A push that was in flight then is left alone:
    /// this one sends above it.
    ///
    /// A holder that lost the state may begin with [`Pusher::new`] under the same incarnation, as long as the target
    /// still knows that incarnation and `now` comes from the same clock as the former holder's.
    pub fn resume(mut state: PusherState, worker: Worker, settings: PusherSettings, now: Instant) -> Self {
        state.answered = state.answered.min(now);
        Pusher {
            is_greeted: state.acked > Seq(0),
            state,
            worker: Arc::new(worker),
            settings,
            descriptors_acked: 0,
            in_flight: None,
            needs_values: true,
            is_done: false,
            is_expired: false,
            replaced: None,
            next_at: now,
            attempts: 0,
        }
    }

    /// What to do at `now`. `fresh` is an unused random incarnation, taken if this one has to be given up.
    pub fn poll(&mut self, now: Instant, fresh: Incarnation) -> Step {
        if self.is_done {
            return Step::Done;
        }
        if self.is_expired || now.since(self.state.answered) > self.settings.tombstone_lifetime / 2 {
            self.start_again(now, fresh);
        }
        if now < self.next_at {
            return Step::Wait(self.next_at);
        }
        match &self.in_flight {
            Some(push) => {
                let push = push.clone();
                self.replaced = None;
                self.schedule_retry(now);
                Step::Resend(Box::new(push))
            }
            None => Step::Gather,
        }
    }

    /// The source's descriptors and values at `now`; `ended` once it can never change again. Returns the push to send,
    /// after [`Pusher::state`] has been made durable where the source outlives this process.
    ///
    /// Values that no store would take are replaced, as [`sound`] says.
    pub fn offer(&mut self, now: Instant, descriptors: &DescriptorList, values: Values, ended: bool) -> Push {
        let values = sound(descriptors, values, self.state.values.as_ref());
        let payload = if !self.is_greeted {
            Payload::Hello
        } else if !self.needs_values && self.state.values.as_ref() == Some(&values) {
            Payload::Unchanged
        } else {
            Payload::Values(values.clone())
        };
        self.replaced = match payload {
            Payload::Values(_) => Some(self.state.values.replace(values)),
            Payload::Hello | Payload::Unchanged => None,
        };
        // Never behind the clock, so that a holder that lost its place still numbers above what its predecessor left
        // in the network; else that push could land under the same number and this one be taken for its repetition.
        self.state.sent = self.state.sent.next().max(Seq(now.0));
        let push = Push {
            incarnation: self.state.incarnation,
            seq: self.state.sent,
            acked: self.state.acked,
            epoch: self.state.epoch,
            worker: self.worker.clone(),
            descriptors: DescriptorPart::after(descriptors, self.descriptors_acked),
            // A hello says nothing of the values, so it cannot be the last word.
            ended: ended && payload != Payload::Hello,
            payload,
            base: self.state.base.clone(),
        };
        self.in_flight = Some(push.clone());
        self.attempts = 0;
        self.schedule_retry(now);
        push
    }

    /// Takes the answer to push `seq`. Answers to other pushes than the one in flight are ignored.
    ///
    /// Whatever is answered, no more than two pushes follow each other without a wait: what a store asks for is sent at once
    /// only if the push that it answered did not bring it.
    pub fn answered(&mut self, now: Instant, seq: Seq, answer: Answer) {
        let Some(push) = self.in_flight.take_if(|push| push.seq == seq) else { return };
        self.attempts = 0;
        match answer {
            Answer::Ok { epoch } => self.acknowledged(now, epoch, push),
            Answer::Sealed => {
                // Not an outage: the store is there, but the push has to be repeated until it opens.
                self.in_flight = Some(push);
                self.next_at = now + self.settings.retry_min;
                return;
            }
            // Nobody comes to such numbers by himself, and above them no store listens.
            Answer::Behind { known } if known.0 >= limits::SEQ_MAX / 2 => {
                self.not_stored();
                self.is_expired = true;
                self.next_at = now + self.settings.retry_min;
            }
            Answer::Behind { known } => {
                self.not_stored();
                self.state.sent = self.state.sent.max(known);
                // Values that name no epoch would be refused for ever if the store lost its contents before they come.
                self.is_greeted = self.state.epoch.is_some();
                self.next_at = now + self.settings.retry_min;
            }
            Answer::Expired => {
                self.not_stored();
                // `poll` starts the new incarnation, with the fresh id it is given.
                self.is_expired = true;
                self.next_at = now + self.settings.retry_min;
            }
            Answer::NeedDescriptors => {
                self.not_stored();
                self.descriptors_acked = 0;
                self.next_at = self.once(now, push.descriptors.from > 0);
            }
            Answer::NeedValues => {
                self.not_stored();
                self.next_at = self.once(now, push.payload == Payload::Unchanged);
            }
            Answer::Refused(refusal) => self.refused(now, refusal),
        }
        self.state.answered = now;
    }

    /// The connection is back: send at once.
    pub fn reconnected(&mut self, now: Instant) {
        self.attempts = 0;
        self.next_at = self.next_at.min(now);
    }

    /// The source is about to end, or its values are wanted now: push without waiting for the interval.
    pub fn hurry(&mut self, now: Instant) {
        self.next_at = self.next_at.min(now);
    }

    /// What must be durable before a push is sent.
    pub fn state(&self) -> &PusherState {
        &self.state
    }

    /// The push that is not answered yet.
    pub fn in_flight(&self) -> Option<&Push> {
        self.in_flight.as_ref()
    }

    /// Whether nothing is in flight and the last offered values are acknowledged.
    pub fn is_acknowledged(&self) -> bool {
        self.in_flight.is_none() && self.is_greeted && !self.needs_values
    }

    /// When to send what was asked for: at once, if it was `left_out`.
    fn once(&self, now: Instant, left_out: bool) -> Instant {
        if left_out { now } else { now + self.settings.interval }
    }

    /// The push that was in flight is in no store, unless it was sent more than once.
    fn not_stored(&mut self) {
        if let Some(values) = self.replaced.take() {
            self.state.values = values;
        }
        self.needs_values = true;
    }

    fn acknowledged(&mut self, now: Instant, epoch: Epoch, push: Push) {
        self.replaced = None;
        self.state.acked = push.seq;
        self.state.epoch = Some(epoch);
        self.descriptors_acked = push.descriptors.count();
        self.is_done = push.ended;
        if self.is_greeted {
            self.needs_values = false;
            self.next_at = now + self.settings.interval;
        } else {
            self.is_greeted = true;
            self.next_at = now;
        }
    }

    /// A refused push is never sent again, but later ones may be accepted (limits may have been raised).
    fn refused(&mut self, now: Instant, _refusal: Refusal) {
        self.not_stored();
        self.next_at = now + self.settings.interval;
    }

    fn start_again(&mut self, now: Instant, fresh: Incarnation) {
        let former = &mut self.state;
        let base = former.values.take().or_else(|| former.base.take());
        // A base is what is subtracted; the new incarnation brings its annotations itself.
        let base = base.map(|base| Values::new(base.slots, base.timestamps));
        self.state = PusherState {
            incarnation: fresh,
            // Numbers go on, so that a late answer to the former incarnation is not taken for one to this.
            sent: former.sent,
            acked: Seq(0),
            epoch: None,
            values: None,
            base,
            answered: now,
        };
        self.descriptors_acked = 0;
        self.in_flight = None;
        self.is_greeted = false;
        self.needs_values = true;
        self.is_expired = false;
        self.replaced = None;
        self.attempts = 0;
    }

    fn schedule_retry(&mut self, now: Instant) {
        let doubled = self.settings.retry_min.saturating_mul(1 << self.attempts.min(16));
        let wait = doubled.min(self.settings.retry_max);
        self.attempts = self.attempts.saturating_add(1);
        // Jitter without a random source: incarnations are random, so pushers of one outage spread over a quarter.
        let spread = u32::try_from(self.state.incarnation.0 >> 40 & 0xff).unwrap_or(0);
        self.next_at = now + (wait - wait * spread / 1024);
    }
}

#[cfg(test)]
mod tests {
    use metrifold_model::{Descriptor, Kind, Labels};
    use proptest::prelude::*;

    use super::*;
    use crate::Refusal;

    fn answers() -> impl Strategy<Value = Answer> {
        prop_oneof![
            Just(Answer::Ok { epoch: Epoch(1) }),
            Just(Answer::Sealed),
            Just(Answer::Expired),
            Just(Answer::NeedDescriptors),
            Just(Answer::NeedValues),
            any::<u64>().prop_map(|known| Answer::Behind { known: Seq(known) }),
            Just(Answer::Behind { known: Seq(u64::MAX) }),
            (0..Refusal::ALL.len()).prop_map(|place| Answer::Refused(Refusal::ALL[place])),
        ]
    }

    fn counter() -> DescriptorList {
        [Descriptor::new(Kind::Counter, "c", "c_total", Labels::default(), "")].into_iter().collect()
    }

    proptest! {
        /// Goal: whoever answers whatever gets a bounded number of pushes in any time, each of which a store could take.
        #[test]
        fn no_sequence_of_answers_makes_a_pusher_spin_or_panic(
            answers in proptest::collection::vec(answers(), 1..200),
        ) {
            let settings = PusherSettings::default();
            let (mut now, mut at_once, mut fresh) = (Instant(1_000), 0, 1);
            let mut pusher = Pusher::new(Incarnation(0), Worker::default(), settings, now);
            for answer in answers {
                fresh += 1;
                let push = match pusher.poll(now, Incarnation(fresh)) {
                    Step::Gather => {
                        at_once += 1;
                        pusher.offer(now, &counter(), Values::from_slots(vec![now.0 as f64]), false)
                    }
                    Step::Resend(push) => *push,
                    Step::Wait(until) => {
                        prop_assert!(until > now);
                        (now, at_once) = (until, 0);
                        continue;
                    }
                    Step::Done => unreachable!("nobody ended it"),
                };
                prop_assert!(at_once <= 4, "hello, unchanged, values, all descriptors");
                prop_assert_eq!(push.check(), Ok(()));
                pusher.answered(now, push.seq, answer);
            }
        }
    }

    #[test]
    fn somebody_elses_number_beyond_reach_costs_the_incarnation_and_nothing_of_the_values() {
        let now = Instant(1_000);
        let mut pusher = Pusher::new(Incarnation(1), Worker::default(), PusherSettings::default(), now);
        let ok = Answer::Ok { epoch: Epoch(1) };
        for value in [1.0, 2.0] {
            let push = pusher.offer(now, &counter(), Values::from_slots(vec![value]), false);
            pusher.answered(now, push.seq, ok);
        }
        let push = pusher.offer(now, &counter(), Values::from_slots(vec![3.0]), false);
        pusher.answered(now, push.seq, Answer::Behind { known: Seq(limits::SEQ_MAX) });
        let later = now + PusherSettings::default().interval;
        assert_eq!(pusher.poll(later, Incarnation(2)), Step::Gather);
        let hello = pusher.offer(later, &counter(), Values::from_slots(vec![4.0]), false);
        assert_eq!((hello.incarnation, &hello.payload), (Incarnation(2), &Payload::Hello));
        assert_eq!(hello.base, Some(Values::from_slots(vec![2.0])), "what the store has of it");
    }

    #[test]
    fn what_no_store_takes_is_not_sent() {
        let now = Instant(1_000);
        let mut pusher = Pusher::new(Incarnation(1), Worker::default(), PusherSettings::default(), now);
        let hello = pusher.offer(now, &counter(), Values::default(), false);
        pusher.answered(now, hello.seq, Answer::Ok { epoch: Epoch(1) });
        for (given, sent) in [(5.0, 5.0), (f64::NAN, 5.0), (-1.0, 5.0), (f64::INFINITY, 5.0), (6.0, 6.0)] {
            let push = pusher.offer(now, &counter(), Values::from_slots(vec![given]), false);
            let Payload::Values(values) = &push.payload else {
                assert_eq!(sent, 5.0, "unchanged");
                pusher.answered(now, push.seq, Answer::Ok { epoch: Epoch(1) });
                continue;
            };
            assert_eq!(values.slots, [sent]);
            pusher.answered(now, push.seq, Answer::Ok { epoch: Epoch(1) });
        }
    }
}
