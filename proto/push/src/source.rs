//! One source, and what each of its targets has of it.

use metrifold_model::{Incarnation, Seq};
use metrifold_session::{Answer, Instant, Payload, Push, Pusher, PusherSettings, Step};

use crate::Memory;

/// A source that is pushed to one or more targets. Whoever drives it sends what is [due](Source::due), and brings the
/// outcome back by [`Source::answered`] or [`Source::unanswered`].
pub struct Source<M> {
    memory: M,
    sessions: Vec<Session>,
    has_ended: bool,
}

/// A source and one target.
struct Session {
    pusher: Pusher,
    /// A push is under way.
    is_sending: bool,
    is_done: bool,
    /// One more push, with the values of then, as soon as nothing is under way.
    wants_last: bool,
    /// The last answer was a refusal.
    was_refused: bool,
    /// The target has values of this source that were sent from here.
    has_values: bool,
}

/// A push to send, and to which target.
#[derive(Debug)]
pub struct Due {
    /// The target's place.
    pub target: usize,
    /// What to send it.
    pub push: Push,
}

impl<M: Memory> Source<M> {
    /// A source for as many targets. Goes on where a former holder of the memory stopped.
    pub fn new(memory: M, targets: usize, settings: PusherSettings, now: Instant) -> Source<M> {
        let session = |target| {
            let pusher = match memory.load(target) {
                Some(state) => Pusher::resume(state, memory.worker(), settings, now),
                None => Pusher::new(memory.incarnation(), memory.worker(), settings, now),
            };
            Session {
                pusher,
                is_sending: false,
                is_done: memory.has_ended(target),
                wants_last: false,
                was_refused: false,
                has_values: false,
            }
        };
        let sessions = (0..targets).map(session).collect();
        Source { memory, sessions, has_ended: false }
    }

    /// Its memory.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// Its memory.
    pub fn memory_mut(&mut self) -> &mut M {
        &mut self.memory
    }

    /// Gives it up.
    pub fn into_memory(self) -> M {
        self.memory
    }

    /// The id under which a target knows the source now.
    pub fn incarnation(&self, target: usize) -> Incarnation {
        self.sessions[target].pusher.state().incarnation
    }

    /// The source will never change again: its next values are its last, and do not wait for the interval.
    pub fn end(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.has_ended, true) {
            self.hurry(now);
        }
    }

    /// Whether it has [ended](Source::end).
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether every target has acknowledged the last values.
    pub fn is_done(&self) -> bool {
        self.sessions.iter().all(|session| session.is_done)
    }

    /// Whether a target may still take more of this source. What was refused is not worth waiting for.
    pub fn is_owed(&self) -> bool {
        self.sessions.iter().any(|session| !session.is_done && !session.was_refused)
    }

    /// Whether every target has acknowledged everything that it was sent, and was to be sent at the end.
    pub fn is_acknowledged(&self) -> bool {
        let is_acknowledged =
            |session: &Session| session.is_done || (session.pusher.is_acknowledged() && !session.wants_last);
        self.sessions.iter().all(is_acknowledged)
    }

    /// Whether a target has, or will never take, values of this source.
    pub fn has_arrived(&self, target: usize) -> bool {
        let of = |session: &Session| session.is_done || session.has_values || session.was_refused;
        self.sessions.get(target).is_none_or(of)
    }

    /// What is to be sent now, and when to ask next: `None` if not before a push that is under way has its outcome.
    /// `fresh` makes unused random incarnations. What a push says is in the memory before it is sent.
    ///
    /// # Errors
    /// If the memory fails; what was due stays due.
    pub fn due(
        &mut self,
        now: Instant,
        fresh: impl Fn() -> Incarnation,
    ) -> Result<(Vec<Due>, Option<Instant>), M::Error> {
        let (mut due, mut next) = (Vec::new(), None::<Instant>);
        for (target, session) in self.sessions.iter_mut().enumerate() {
            if session.is_sending || session.is_done {
                continue;
            }
            let push = match session.pusher.poll(now, fresh()) {
                Step::Wait(until) => {
                    next = Some(next.map_or(until, |next| next.min(until)));
                    continue;
                }
                Step::Done => {
                    session.is_done = true;
                    continue;
                }
                Step::Resend(push) => *push,
                Step::Gather => {
                    let (descriptors, values) = self.memory.refresh()?;
                    let push = session.pusher.offer(now, descriptors, values, self.has_ended);
                    // A first push carries no values yet.
                    session.wants_last &= push.payload == Payload::Hello;
                    self.memory.record_sent(target, session.pusher.state(), push.ended)?;
                    push
                }
            };
            session.is_sending = true;
            due.push(Due { target, push });
        }
        Ok((due, next))
    }

    /// Takes an answer. The last values do not wait for the interval once the target takes what it is sent; otherwise
    /// the pusher's own pace holds, lest a source that is refused keeps both sides busy.
    pub fn answered(&mut self, target: usize, now: Instant, seq: Seq, answer: Answer) {
        let session = &mut self.sessions[target];
        session.is_sending = false;
        session.was_refused = matches!(answer, Answer::Refused(_));
        session.pusher.answered(now, seq, answer);
        session.has_values |= session.pusher.is_acknowledged();
        self.memory.record_answer(target, session.pusher.state());
        if matches!(answer, Answer::Ok { .. }) && (self.has_ended || session.wants_last) {
            session.pusher.hurry(now);
        }
    }

    /// A push got no answer; it is sent again when it is time.
    pub fn unanswered(&mut self, target: usize) {
        self.sessions[target].is_sending = false;
    }

    /// A target answers again.
    pub fn reconnected(&mut self, target: usize, now: Instant) {
        self.sessions[target].pusher.reconnected(now);
    }

    /// Pushes to every target without waiting for the interval.
    pub fn hurry(&mut self, now: Instant) {
        self.sessions.iter_mut().for_each(|session| session.pusher.hurry(now));
    }

    /// One more push to every target, with the values of now, also if one is under way.
    pub fn push_last(&mut self, now: Instant) {
        self.sessions.iter_mut().for_each(|session| session.wants_last = true);
        self.hurry(now);
    }
}
