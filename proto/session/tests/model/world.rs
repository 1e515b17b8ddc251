//! The model's world: sources, a network, one shard, two servers; and what may happen in it.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use metrifold_model::{Epoch, Incarnation, Seq};
use metrifold_session::{
    Answer, Commit, Instant, Push, ReapPolicy, Serving, Settling, ShardSnapshot, Verdict, needs_restore, reap,
};
use stateright::{Model, Property};

use crate::{
    faults::Faults,
    pushers::Source,
    rules::Rules,
    truth::{self, merged},
};

/// The store's clock stands still; settling ends by an action of its own.
const SETTLE: Duration = Duration::from_secs(3600);
const NOW: Instant = Instant(0);
const AGED: Duration = Duration::from_millis(2);

pub struct Universe {
    pub faults: Faults,
    pub rules: Rules,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub sources: Vec<Source>,
    pub network: Vec<Arc<Message>>,
    pub store: Contents,
    /// What the store may roll back to.
    pub saved: Vec<Contents>,
    pub servers: Vec<Server>,
    settling: Settling,
    /// What the first server, which is the exporter, last showed.
    shown: Option<Vec<u8>>,
    pub has_fallen: bool,
    /// The shard settled before a server with something newer came.
    pub was_late: bool,
    left: Faults,
    fresh: u64,
    writes: u8,
}

/// A shard with the number of the last write of each source that it contains.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Contents {
    pub shard: Arc<ShardSnapshot>,
    writes: Vec<u8>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Server {
    memory: Option<Contents>,
    pub commit: Option<Arc<Commit>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    Push { source: usize, push: Box<Push> },
    Answer { source: usize, incarnation: Incarnation, seq: Seq, answer: Answer, write: u8 },
}

impl Message {
    fn incarnation(&self) -> Incarnation {
        match self {
            Message::Push { push, .. } => push.incarnation,
            Message::Answer { incarnation, .. } => *incarnation,
        }
    }

    fn seq(&self) -> Seq {
        match self {
            Message::Push { push, .. } => push.seq,
            Message::Answer { seq, .. } => *seq,
        }
    }

    fn source(&self) -> usize {
        match self {
            Message::Push { source, .. } | Message::Answer { source, .. } => *source,
        }
    }
}

/// What becomes of the answer to a push that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    Received,
    Late,
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A push in flight is sent again; else the next is made, after the source has counted one more, or ended. (To
    /// count or end at any other moment shows nowhere, so the model does it here.)
    Poll {
        source: usize,
        counting: bool,
        ending: bool,
    },
    Kill(usize),
    GiveUp(usize),
    SwapHolder(usize),
    LosePlace(usize),
    /// `again`: a copy stays under way.
    Deliver {
        message: usize,
        again: bool,
        answer: Reply,
    },
    Drop(usize),
    /// A server reads the shard; it restores it, or remembers and perhaps shows it.
    Visit(usize),
    Reap {
        server: usize,
        timed_out: Option<Incarnation>,
    },
    Commit(usize),
    Trim(Incarnation),
    Settle,
    Save,
    LoseStore(Option<usize>),
}

impl Model for Universe {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self.faults)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        world.source_actions(actions);
        world.network_actions(actions);
        world.server_actions(actions);
        world.store_actions(actions);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        next.act(action, &self.rules);
        next.sort_network();
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        truth::properties()
    }
}

impl World {
    fn new(faults: Faults) -> Self {
        let sources = usize::from(faults.sources);
        World {
            sources: (0..sources).map(Source::new).collect(),
            network: Vec::new(),
            store: Contents { shard: Default::default(), writes: vec![0; sources] },
            saved: Vec::new(),
            servers: vec![Server::default(); usize::from(faults.servers)],
            settling: Settling::default(),
            shown: None,
            has_fallen: false,
            was_late: false,
            left: faults,
            fresh: 100,
            writes: 0,
        }
    }

    fn source_actions(&self, actions: &mut Vec<Action>) {
        for (index, source) in self.sources.iter().enumerate() {
            let Some(holder) = &source.holder else { continue };
            self.poll_actions(index, actions);
            let may_be_killed = self.left.kills > 0 && !source.has_ended;
            actions.extend(may_be_killed.then_some(Action::Kill(index)));
            actions.extend((self.left.give_ups > 0).then_some(Action::GiveUp(index)));
            actions.extend((self.left.swaps > 0).then_some(Action::SwapHolder(index)));
            let may_lose_place =
                self.left.lost_places > 0 && source.has_first_place && holder.state().sent > Seq(0);
            actions.extend(may_lose_place.then_some(Action::LosePlace(index)));
        }
    }

    /// A push in flight is sent again only after a loss; that it may come twice is the network's doing.
    fn poll_actions(&self, index: usize, actions: &mut Vec<Action>) {
        let source = &self.sources[index];
        let in_flight = source.holder.as_ref().and_then(|holder| holder.in_flight());
        let is_under_way = in_flight.is_some_and(|sent| {
            self.network.iter().any(|message| message.source() == index && message.seq() == sent.seq)
        });
        if is_under_way || self.network.len() >= usize::from(self.left.network_max) {
            return;
        }
        let poll = Action::Poll { source: index, counting: false, ending: false };
        if in_flight.is_some() || source.has_news() || self.left.idle > 0 {
            actions.push(poll);
        }
        if in_flight.is_none() && !source.has_ended {
            let counts = (self.left.counts > 0).then_some(true).into_iter().chain([false]);
            for counting in counts {
                actions.push(Action::Poll { source: index, counting, ending: true });
                actions.extend(counting.then_some(Action::Poll { source: index, counting, ending: false }));
            }
        }
    }

    fn network_actions(&self, actions: &mut Vec<Action>) {
        for message in 0..self.network.len() {
            let copies = [Some(false), (self.left.duplicates > 0).then_some(true)];
            for again in copies.into_iter().flatten() {
                actions.push(Action::Deliver { message, again, answer: Reply::Received });
                if matches!(*self.network[message], Message::Push { .. }) {
                    let is_late = self.left.late_answers > 0;
                    actions.extend(is_late.then_some(Action::Deliver {
                        message,
                        again,
                        answer: Reply::Late,
                    }));
                    let is_lost = self.left.losses > 0;
                    actions.extend(is_lost.then_some(Action::Deliver {
                        message,
                        again,
                        answer: Reply::Lost,
                    }));
                }
            }
            actions.extend((self.left.losses > 0).then_some(Action::Drop(message)));
        }
    }

    fn server_actions(&self, actions: &mut Vec<Action>) {
        for (index, server) in self.servers.iter().enumerate() {
            let memory = server.memory.as_ref();
            let restores = needs_restore(&self.store.shard, memory.map(|memory| &*memory.shard), SETTLE);
            let reads = self.left.reads > 0 && memory != Some(&self.store);
            actions.extend((restores || reads).then_some(Action::Visit(index)));
            if server.commit.is_some() {
                actions.push(Action::Commit(index));
                continue;
            }
            if index > 0 && !self.left.racing_reapers {
                continue;
            }
            let shard = &self.store.shard;
            if shard.records.values().any(|record| record.ended) {
                actions.push(Action::Reap { server: index, timed_out: None });
            }
            for (incarnation, record) in &shard.records {
                let is_silent = !self.is_held(*incarnation);
                let times_out = !record.ended && (is_silent || self.left.timeouts > 0);
                actions.extend(
                    times_out.then_some(Action::Reap { server: index, timed_out: Some(*incarnation) }),
                );
            }
        }
    }

    fn store_actions(&self, actions: &mut Vec<Action>) {
        let shard = &self.store.shard;
        if self.left.trims > 0 {
            let due = shard.tombstones.keys().filter(|incarnation| self.may_trim(**incarnation));
            actions.extend(due.map(|incarnation| Action::Trim(*incarnation)));
        }
        let is_open = shard.head.epoch.is_some() && !shard.head.sealed;
        if is_open && shard.head.settling && (self.left.late_servers || !self.is_anybody_late()) {
            actions.push(Action::Settle);
        }
        if is_open && self.left.saves > 0 && !self.saved.contains(&self.store) {
            actions.push(Action::Save);
        }
        if is_open && self.left.store_losses > 0 {
            actions.push(Action::LoseStore(None));
            actions.extend((0..self.saved.len()).map(|saved| Action::LoseStore(Some(saved))));
        }
    }

    fn is_held(&self, incarnation: Incarnation) -> bool {
        self.sources.iter().any(|source| source.incarnation() == Some(incarnation))
    }

    /// Everybody has given the incarnation up, or it is quiet.
    fn may_trim(&self, incarnation: Incarnation) -> bool {
        let is_quiet = || {
            let mut holders = self.sources.iter().filter_map(|source| source.holder.as_ref());
            holders.all(|holder| holder.state().incarnation != incarnation || holder.is_acknowledged())
        };
        self.left.trims_early || !self.is_held(incarnation) || (self.left.trims_quiet && is_quiet())
    }

    fn is_anybody_late(&self) -> bool {
        let shard = &self.store.shard;
        self.servers
            .iter()
            .filter_map(|server| server.memory.as_ref())
            .any(|memory| needs_restore(shard, Some(&memory.shard), SETTLE))
    }

    fn act(&mut self, action: Action, rules: &Rules) {
        match action {
            Action::Kill(index) => {
                self.left.kills -= 1;
                let source = &mut self.sources[index];
                (source.has_ended, source.was_killed, source.holder) = (true, true, None);
            }
            Action::Poll { source, counting, ending } => {
                self.left.counts -= u8::from(counting);
                self.sources[source].counted += u8::from(counting);
                self.sources[source].has_ended |= ending;
                self.poll(source);
            }
            Action::GiveUp(index) => {
                self.left.give_ups -= 1;
                let fresh = Incarnation(self.fresh());
                self.sources[index].give_up(fresh);
                self.excuse_what_is_lost_already(index);
            }
            Action::SwapHolder(index) => {
                self.left.swaps -= 1;
                self.sources[index].swap_holder();
            }
            Action::LosePlace(index) => {
                self.left.lost_places -= 1;
                self.sources[index].lose_place(self.left.clock_stands);
            }
            Action::Deliver { message, again, answer } => {
                self.left.duplicates -= u8::from(again);
                let delivered =
                    if again { self.network[message].clone() } else { self.network.remove(message) };
                self.deliver(&delivered, answer, rules);
            }
            Action::Drop(message) => {
                self.left.losses -= 1;
                self.network.remove(message);
            }
            Action::Visit(server) => self.visit(server, rules),
            Action::Reap { server, timed_out } => self.reap(server, timed_out, rules),
            Action::Commit(server) => {
                if let Some(commit) = self.servers[server].commit.take() {
                    self.commit(&commit, rules);
                }
            }
            Action::Trim(incarnation) => self.trim(incarnation, rules),
            Action::Settle => {
                self.was_late |= self.is_anybody_late();
                Arc::make_mut(&mut self.store.shard).head.settling = false;
            }
            Action::Save => {
                self.left.saves -= 1;
                self.saved.push(self.store.clone());
            }
            Action::LoseStore(saved) => self.lose_store(saved),
        }
    }

    fn fresh(&mut self) -> u64 {
        self.fresh += 1;
        self.fresh
    }

    fn poll(&mut self, index: usize) {
        let source = &mut self.sources[index];
        let former = source.incarnation();
        let is_resend = source.holder.as_ref().is_some_and(|holder| holder.in_flight().is_some());
        self.left.idle -= u8::from(!is_resend && !source.has_news());
        let Some(push) = source.poll(Incarnation(self.fresh + 1)) else { return };
        if former != source.incarnation() {
            self.fresh += 1;
            self.excuse_what_is_lost_already(index);
        }
        self.network.push(Arc::new(Message::Push { source: index, push: Box::new(push) }));
    }

    /// An incarnation that is given up does not push again what the store may have lost meanwhile.
    fn excuse_what_is_lost_already(&mut self, index: usize) {
        let source = &mut self.sources[index];
        source.is_excused |= self.store.writes[index] < source.acknowledged_write;
    }

    fn deliver(&mut self, message: &Message, reply: Reply, rules: &Rules) {
        match message {
            Message::Push { source, push } => {
                let answer = self.push(*source, push, rules);
                let (source, seq, write) = (*source, push.seq, self.store.writes[*source]);
                match reply {
                    Reply::Received => self.answer(source, seq, answer, write),
                    Reply::Lost => self.left.losses -= 1,
                    Reply::Late => {
                        self.left.late_answers -= 1;
                        let incarnation = push.incarnation;
                        let answer = Message::Answer { source, incarnation, seq, answer, write };
                        self.network.push(Arc::new(answer));
                    }
                }
            }
            Message::Answer { source, seq, answer, write, .. } => self.answer(*source, *seq, *answer, *write),
        }
    }

    fn push(&mut self, source: usize, push: &Push, rules: &Rules) -> Answer {
        let shard = &self.store.shard;
        let record = shard.records.get(&push.incarnation).map(Arc::as_ref);
        let tombstone = shard.tombstones.get(&push.incarnation).map(Arc::as_ref);
        match (rules.accept)(&shard.head, record, tombstone, push, NOW) {
            Verdict::Reply(answer) => answer,
            Verdict::Write { record, answer } => {
                let shard = Arc::make_mut(&mut self.store.shard);
                shard.records.insert(push.incarnation, Arc::from(record));
                self.writes += 1;
                self.store.writes[source] = self.writes;
                answer
            }
        }
    }

    fn answer(&mut self, index: usize, seq: Seq, answer: Answer, write: u8) {
        let source = &mut self.sources[index];
        let Some(holder) = &mut source.holder else { return };
        let holder = Arc::make_mut(holder);
        let acked = holder.state().acked;
        holder.answered(source.clock, seq, answer);
        if holder.state().acked != acked {
            let values = holder.state().values.as_ref();
            if holder.is_acknowledged() {
                source.acknowledged = values.map_or(0, |values| values.slot(0) as u8);
            }
            source.acknowledged_write = write;
        }
        if holder.poll(source.clock, Incarnation(self.fresh + 1)) == metrifold_session::Step::Done {
            source.holder = None;
        } else if self.fresh_was_used(index) {
            self.fresh += 1;
            let was_resent = self.sources[index].was_resent;
            self.sources[index].excuse_one_push(was_resent);
            self.excuse_what_is_lost_already(index);
        }
    }

    fn fresh_was_used(&self, index: usize) -> bool {
        self.sources[index].incarnation() == Some(Incarnation(self.fresh + 1))
    }

    fn visit(&mut self, index: usize, rules: &Rules) {
        let shard = self.store.shard.clone();
        let memory = self.servers[index].memory.clone();
        let remembered = memory.as_ref().map(|memory| &*memory.shard);
        if needs_restore(&shard, remembered, SETTLE) {
            let epoch = Epoch(self.fresh());
            let mut restored = (rules.restore)(&shard, remembered, epoch, NOW);
            restored.head.version = self.fresh();
            self.store.shard = Arc::new(restored);
            let remembered = memory.into_iter().flat_map(|memory| memory.writes);
            for (write, remembered) in self.store.writes.iter_mut().zip(remembered) {
                *write = remembered.max(*write);
            }
            return;
        }
        self.left.reads -= 1;
        self.servers[index].memory = Some(self.store.clone());
        if index == 0 {
            self.show();
        }
    }

    fn show(&mut self) {
        let shard = &self.store.shard;
        let view: Vec<u8> = (0..self.sources.len()).map(|index| merged(shard, index)).collect();
        let is_below =
            self.shown.as_ref().is_some_and(|shown| shown.iter().zip(&view).any(|(shown, now)| now < shown));
        let may_show = match self.settling.check(0, shard, SETTLE, None) {
            Serving::Now | Serving::Anyway => true,
            Serving::IfNotBelow => !is_below,
            Serving::Waiting | Serving::Sealed => false,
        };
        if may_show {
            let is_excused = self.was_late || self.sources.iter().any(|source| source.is_excused);
            self.has_fallen |= is_below && !is_excused;
            self.settling.served(0, shard, None);
            self.shown = Some(view);
        }
    }

    fn reap(&mut self, server: usize, timed_out: Option<Incarnation>, rules: &Rules) {
        if timed_out.is_some_and(|incarnation| self.is_held(incarnation)) {
            self.left.timeouts -= 1;
        }
        let mut read = ShardSnapshot::clone(&self.store.shard);
        read.now = NOW + AGED * 2;
        for (incarnation, record) in &mut read.records {
            let seen = if Some(*incarnation) == timed_out { NOW } else { read.now };
            Arc::make_mut(record).seen = seen;
        }
        let policy = ReapPolicy { ttl: Some(AGED), settle: SETTLE, ..ReapPolicy::default() };
        let Some(commit) = reap(&read, &policy) else { return };
        match self.left.racing_reapers {
            true => self.servers[server].commit = Some(Arc::new(commit)),
            false => self.commit(&commit, rules),
        }
    }

    fn commit(&mut self, commit: &Commit, rules: &Rules) {
        let version = self.fresh();
        (rules.apply)(commit, Arc::make_mut(&mut self.store.shard), version);
    }

    fn trim(&mut self, incarnation: Incarnation, rules: &Rules) {
        let mut read = ShardSnapshot::clone(&self.store.shard);
        read.records.values_mut().for_each(|record| Arc::make_mut(record).ended = false);
        read.head.age = Instant(0) + AGED * 2;
        for (other, tombstone) in &mut read.tombstones {
            Arc::make_mut(tombstone).folded = if *other == incarnation { Instant(0) } else { read.head.age };
        }
        let policy =
            ReapPolicy { ttl: None, settle: SETTLE, tombstone_lifetime: AGED, ..ReapPolicy::default() };
        let Some(commit) = reap(&read, &policy) else { return };
        self.left.trims -= 1;
        self.commit(&commit, rules);
        if !self.left.trims_early {
            self.network.retain(|message| message.incarnation() != incarnation);
        }
        for source in &mut self.sources {
            source.has_first_place &= source.incarnation() != Some(incarnation);
        }
    }

    fn lose_store(&mut self, saved: Option<usize>) {
        self.left.store_losses -= 1;
        self.store = match saved {
            Some(saved) => self.saved[saved].clone(),
            None => Contents { shard: Default::default(), writes: vec![0; self.sources.len()] },
        };
        Arc::make_mut(&mut self.store.shard).head.sealed = true;
        let memories = self.servers.iter().filter_map(|server| server.memory.as_ref());
        let survivors: Vec<_> = memories.chain([&self.store]).collect();
        for (index, source) in self.sources.iter_mut().enumerate() {
            // What a source that ended (or gave its incarnation up) pushed after every server's last read is gone.
            let needed = match source.holder {
                Some(_) => source.former_write,
                None => source.acknowledged_write,
            };
            source.is_excused |= survivors.iter().all(|copy| copy.writes[index] < needed);
        }
    }

    /// The order of messages under way means nothing.
    fn sort_network(&mut self) {
        self.network.sort_by_cached_key(|message| {
            let mut hasher = DefaultHasher::new();
            (message.source(), message).hash(&mut hasher);
            hasher.finish()
        });
    }
}
