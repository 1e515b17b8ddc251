//! The sources of the model's world: each a production pusher and what it must remember.

use std::{sync::Arc, time::Duration};

use metrifold_model::{Descriptor, DescriptorList, Incarnation, Kind, Labels, Values, Worker};
use metrifold_session::{Instant, Push, Pusher, PusherSettings, PusherState, Step};

/// Half of it is an outage.
pub const LIFETIME: Duration = Duration::from_secs(2);
/// From one holder to the next: longer than a holder's numbers can run ahead of its clock.
const SUCCESSION: Duration = Duration::from_millis(20);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    pub index: usize,
    /// The truth.
    pub counted: u8,
    /// Its process is gone; whoever holds its segment pushes the final values.
    pub has_ended: bool,
    pub was_killed: bool,
    /// None once the final push is acknowledged, or the source was killed without a holder.
    pub holder: Option<Arc<Pusher>>,
    /// What the segment's header holds: the pusher's state before the last push was sent.
    pub header: Arc<PusherState>,
    pub clock: Instant,
    /// Its first incarnation is in use, and the store has not forgotten it.
    pub has_first_place: bool,
    /// The truth that the store has acknowledged.
    pub acknowledged: u8,
    /// Which write of the store that was; a copy with a lower number does not have it.
    pub acknowledged_write: u8,
    /// The last acknowledged write of incarnations that were given up: nobody pushes that again.
    pub former_write: u8,
    /// The push in flight was sent more than once, so that a forgotten copy of it may have been stored.
    pub was_resent: bool,
    /// A loss that promise 1 allows has struck.
    pub is_excused: bool,
}

/// One counter per source, so that no error in one is hidden by another.
pub fn descriptors(index: usize) -> DescriptorList {
    thread_local! {
        static LISTS: Vec<DescriptorList> = (0..2).map(|index: usize| {
            let labels = Labels::new([("source", index.to_string().as_str())]);
            DescriptorList::from_iter([Descriptor::new(Kind::Counter, "events", "events_total", labels, "")])
        }).collect();
    }
    LISTS.with(|lists| lists[index].clone())
}

fn settings() -> PusherSettings {
    let zero = Duration::ZERO;
    PusherSettings { interval: zero, retry_min: zero, retry_max: zero, tombstone_lifetime: LIFETIME }
}

impl Source {
    pub fn new(index: usize) -> Self {
        let clock = Instant(1);
        let holder = Pusher::new(first_incarnation(index), Worker::default(), settings(), clock);
        Source {
            index,
            counted: 0,
            has_ended: false,
            was_killed: false,
            header: Arc::new(holder.state().clone()),
            holder: Some(Arc::new(holder)),
            clock,
            has_first_place: true,
            acknowledged: 0,
            acknowledged_write: 0,
            former_write: 0,
            was_resent: false,
            is_excused: false,
        }
    }

    pub fn incarnation(&self) -> Option<Incarnation> {
        self.holder.as_ref().map(|holder| holder.state().incarnation)
    }

    /// Whether the next interval's push would say something new.
    pub fn has_news(&self) -> bool {
        let Some(holder) = &self.holder else { return false };
        let offered = holder.state().values.as_ref().map_or(0.0, |values| values.slot(0));
        !holder.is_acknowledged() || self.has_ended || offered != f64::from(self.counted)
    }

    /// What the holder sends now, if anything.
    pub fn poll(&mut self, fresh: Incarnation) -> Option<Push> {
        let now = self.clock;
        let former = self.incarnation();
        let holder = Arc::make_mut(self.holder.as_mut()?);
        let step = holder.poll(now, fresh);
        if Some(holder.state().incarnation) != former {
            self.excuse_one_push(self.was_resent);
        }
        self.was_resent = matches!(step, Step::Resend(_));
        let holder = Arc::make_mut(self.holder.as_mut()?);
        let push = match step {
            Step::Gather => {
                let values = Values::from_slots(vec![f64::from(self.counted)]);
                holder.offer(now, &descriptors(self.index), values, self.has_ended)
            }
            Step::Resend(push) => *push,
            Step::Wait(_) | Step::Done => return None,
        };
        self.has_first_place &= holder.state().incarnation == first_incarnation(self.index);
        self.header = Arc::new(holder.state().clone());
        Some(push)
    }

    /// A new incarnation "may lose one push", the last of the former one if its fate is unknown; never one that was
    /// sent once and answered.
    /// To be called once per new incarnation.
    pub fn excuse_one_push(&mut self, is_fate_unknown: bool) {
        let base = self.holder.as_ref().and_then(|holder| holder.state().base.as_ref());
        let pushed = base.map_or(0.0, |base| base.slot(0));
        self.former_write = self.acknowledged_write;
        self.is_excused |= is_fate_unknown && pushed > f64::from(self.acknowledged);
    }

    /// A successor goes on from the header.
    pub fn swap_holder(&mut self) {
        self.clock = self.clock + SUCCESSION;
        // What the former holder had in flight stays unanswered for ever.
        self.was_resent = true;
        let state = PusherState::clone(&self.header);
        self.holder = Some(Arc::new(Pusher::resume(state, Worker::default(), settings(), self.clock)));
    }

    /// A successor knows the incarnation, and nothing else.
    pub fn lose_place(&mut self, clock_stands: bool) {
        self.clock = if clock_stands { self.clock } else { self.clock + SUCCESSION };
        self.was_resent = true;
        let holder = Pusher::new(first_incarnation(self.index), Worker::default(), settings(), self.clock);
        self.holder = Some(Arc::new(holder));
    }

    /// The holder has had no answer for more than half a tombstone lifetime. The header follows with the next push.
    pub fn give_up(&mut self, fresh: Incarnation) {
        self.clock = self.clock + LIFETIME / 2 + Duration::from_millis(1);
        if let Some(holder) = &mut self.holder {
            let holder = Arc::make_mut(holder);
            holder.poll(self.clock, fresh);
            self.excuse_one_push(true);
        }
        self.has_first_place = false;
    }
}

pub fn first_incarnation(index: usize) -> Incarnation {
    Incarnation(index as u64)
}
