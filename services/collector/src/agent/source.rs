//! One segment and the pushers that bring its values to the targets.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use metrifold_model::{Epoch, Incarnation, Namespace, Seq, Values};
use metrifold_segment::{Holder, HolderError, HolderState, Liveness, SegmentError, SegmentReader};
use metrifold_session::{Answer, Instant, Payload, Push, Pusher, PusherSettings, PusherState, Step};

use crate::target::{self, Target};

/// A segment under this agent's care.
pub(super) struct Source {
    reader: SegmentReader,
    lanes: Vec<Lane>,
    /// The values at the scan that first found the lock gone.
    values_at_death: Option<Values>,
    has_ended: bool,
}

/// One target's side of a source.
struct Lane {
    pusher: Pusher,
    holder: Holder,
    target: u64,
    /// A call is under way; its outcome comes back through [`Source::answered`] or [`Source::failed`].
    is_sending: bool,
    is_done: bool,
    /// The agent is about to end: one more push, with the values of now, as soon as nothing is under way.
    wants_last: bool,
    /// The last answer was a refusal.
    was_refused: bool,
}

/// Why a segment cannot be served now.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    #[error(transparent)]
    Segment(#[from] SegmentError),
    #[error(transparent)]
    Holder(#[from] HolderError),
}

/// A push to send, and to which target.
pub(super) struct Outgoing {
    pub(super) lane: usize,
    pub(super) push: Push,
}

impl Source {
    /// Opens a segment, going on where a former agent stopped.
    pub(super) fn open(
        path: PathBuf,
        targets: &[Arc<dyn Target>],
        settings: PusherSettings,
        now: Instant,
    ) -> Result<Source, SourceError> {
        let reader = SegmentReader::open(&path)?;
        let ids: Vec<_> = targets.iter().map(|target| target::id(target.as_ref())).collect();
        let lanes = ids.iter().map(|&id| {
            let holder = hold(&path, id, &ids)?;
            let pusher = match holder.load() {
                Some(state) => Pusher::resume(pusher_state(state), reader.header().worker(), settings, now),
                None => Pusher::new(reader.header().incarnation, reader.header().worker(), settings, now),
            };
            Ok(Lane {
                pusher,
                holder,
                target: id,
                is_sending: false,
                is_done: false,
                wants_last: false,
                was_refused: false,
            })
        });
        let lanes = lanes.collect::<Result<_, HolderError>>()?;
        Ok(Source { reader, lanes, values_at_death: None, has_ended: false })
    }

    pub(super) fn namespace(&self) -> &Namespace {
        &self.reader.header().namespace
    }

    /// Whether the worker is dead for sure.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether every target has acknowledged the last value.
    pub(super) fn is_done(&self) -> bool {
        self.lanes.iter().all(|lane| lane.is_done)
    }

    /// Whether a target may still take more of this source. What was refused is not worth waiting for.
    pub(super) fn is_owed(&self) -> bool {
        self.lanes.iter().any(|lane| !lane.is_done && !lane.was_refused)
    }

    /// Whether every target has acknowledged everything that it was sent, and was to be sent at the end.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.lanes.iter().all(|lane| lane.is_done || (lane.pusher.is_acknowledged() && !lane.wants_last))
    }

    /// Looks whether the worker still lives. It is dead when its lock was gone at two scans with the same values: a
    /// child that has just forked may write for a moment after its parent's lock was dropped.
    pub(super) fn examine(&mut self, now: Instant) -> Result<(), SourceError> {
        if self.has_ended {
            return Ok(());
        }
        if self.reader.liveness()? == Liveness::Alive {
            self.values_at_death = None;
            return Ok(());
        }
        let (_, values) = self.reader.refresh()?;
        if self.values_at_death.as_ref() == Some(&values) {
            self.has_ended = true;
            self.lanes.iter_mut().for_each(|lane| lane.pusher.hurry(now));
        }
        self.values_at_death = Some(values);
        Ok(())
    }

    /// What is to be sent now. What a push says is in the segment before it is sent.
    pub(super) fn outgoing(
        &mut self,
        now: Instant,
        fresh: impl Fn() -> Incarnation,
    ) -> Result<Vec<Outgoing>, SourceError> {
        let mut outgoing = Vec::new();
        for index in 0..self.lanes.len() {
            let lane = &mut self.lanes[index];
            if lane.is_sending || lane.is_done {
                continue;
            }
            let push = match lane.pusher.poll(now, fresh()) {
                Step::Wait(_) => continue,
                Step::Done => {
                    lane.is_done = true;
                    continue;
                }
                Step::Resend(push) => push,
                Step::Gather => {
                    let (descriptors, values) = self.reader.refresh()?;
                    let push = lane.pusher.offer(now, descriptors, values, self.has_ended);
                    // A first push carries no values yet.
                    lane.wants_last &= push.payload == Payload::Hello;
                    lane.holder.record_sent(&holder_state(lane.pusher.state(), lane.target))?;
                    push
                }
            };
            lane.is_sending = true;
            outgoing.push(Outgoing { lane: index, push });
        }
        Ok(outgoing)
    }

    /// Takes an answer. The last values do not wait for the interval once the target takes what it is sent; otherwise
    /// the pusher's own pace holds, lest a source that is refused keeps agent and target busy.
    pub(super) fn answered(&mut self, lane: usize, now: Instant, seq: Seq, answer: Answer) {
        let has_ended = self.has_ended;
        let lane = &mut self.lanes[lane];
        lane.is_sending = false;
        lane.was_refused = matches!(answer, Answer::Refused(_));
        lane.pusher.answered(now, seq, answer);
        let state = lane.pusher.state();
        let epoch = state.epoch.map_or(0, |epoch| epoch.0);
        lane.holder.record_answer(state.acked.0, epoch, state.answered.0);
        if matches!(answer, Answer::Ok { .. }) && (has_ended || lane.wants_last) {
            lane.pusher.hurry(now);
        }
    }

    /// A call got no answer; the pusher sends it again when it is time.
    pub(super) fn failed(&mut self, lane: usize) {
        self.lanes[lane].is_sending = false;
    }

    /// The target answers again.
    pub(super) fn reconnected(&mut self, lane: usize, now: Instant) {
        self.lanes[lane].pusher.reconnected(now);
    }

    /// One more push to every target, with the values of now.
    pub(super) fn push_last(&mut self, now: Instant) {
        for lane in &mut self.lanes {
            lane.wants_last = true;
            lane.pusher.hurry(now);
        }
    }
}

/// Takes the area of target `id`, if need be from a target that a former agent had and this one has not (`ids`).
fn hold(path: &Path, id: u64, ids: &[u64]) -> Result<Holder, HolderError> {
    match Holder::open(path, id) {
        Err(HolderError::NoFreeArea { targets, .. }) => {
            for former in targets.iter().filter(|former| !ids.contains(former)) {
                Holder::release(path, *former)?;
            }
            Holder::open(path, id)
        }
        opened => opened,
    }
}

fn pusher_state(state: HolderState) -> PusherState {
    PusherState {
        incarnation: Incarnation(state.incarnation),
        sent: Seq(state.sent),
        acked: Seq(state.acked),
        epoch: (state.epoch != 0).then_some(Epoch(state.epoch)),
        values: (!state.values.slots.is_empty()).then_some(state.values),
        base: state.base,
        answered: Instant(state.answered),
    }
}

fn holder_state(state: &PusherState, target: u64) -> HolderState {
    HolderState {
        target,
        epoch: state.epoch.map_or(0, |epoch| epoch.0),
        acked: state.acked.0,
        answered: state.answered.0,
        sent: state.sent.0,
        incarnation: state.incarnation.0,
        values: state.values.clone().unwrap_or_default(),
        base: state.base.clone(),
    }
}
