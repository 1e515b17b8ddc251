//! The machines under test, each behind a function pointer, so that a mutant can break one rule.

use metrifold_model::{Epoch, Incarnation, Seq, Values};
use metrifold_session::{
    Answer, Commit, Instant, Push, Record, ShardHead, ShardSnapshot, Tombstone, Verdict, accept, restore,
};

pub type Accept = fn(&ShardHead, Option<&Record>, Option<&Tombstone>, &Push, Instant) -> Verdict;
pub type Restore = fn(&ShardSnapshot, Option<&ShardSnapshot>, Epoch, Instant) -> ShardSnapshot;
pub type Apply = fn(&Commit, &mut ShardSnapshot, u64) -> bool;

#[derive(Clone, Copy)]
pub struct Rules {
    pub accept: Accept,
    pub apply: Apply,
    pub restore: Restore,
}

impl Rules {
    /// The machines as they are.
    pub fn production() -> Self {
        Rules { accept, apply: Commit::apply, restore }
    }

    pub fn accepting_lower() -> Self {
        Rules { accept: accept_lower, ..Rules::production() }
    }

    pub fn accepting_expired() -> Self {
        Rules { accept: accept_expired, ..Rules::production() }
    }

    pub fn forgetting_base() -> Self {
        Rules { accept: forget_base, ..Rules::production() }
    }

    pub fn writing_before_an_epoch() -> Self {
        Rules { accept: accept_sealed, ..Rules::production() }
    }

    pub fn folding_blindly() -> Self {
        Rules { apply: apply_blindly, ..Rules::production() }
    }

    pub fn restoring_without_bases() -> Self {
        Rules { restore: restore_without_bases, ..Rules::production() }
    }
}

fn accept_lower(
    head: &ShardHead,
    record: Option<&Record>,
    tombstone: Option<&Tombstone>,
    push: &Push,
    now: Instant,
) -> Verdict {
    match accept(head, record, tombstone, push, now) {
        Verdict::Reply(Answer::Behind { known }) => {
            let raised = Push { seq: known.next(), ..push.clone() };
            match accept(head, record, tombstone, &raised, now) {
                Verdict::Write { mut record, answer } => {
                    record.seq = push.seq;
                    Verdict::Write { record, answer }
                }
                reply => reply,
            }
        }
        verdict => verdict,
    }
}

fn accept_expired(
    head: &ShardHead,
    record: Option<&Record>,
    tombstone: Option<&Tombstone>,
    push: &Push,
    now: Instant,
) -> Verdict {
    match accept(head, record, tombstone, push, now) {
        Verdict::Reply(Answer::Expired) => {
            let other = Push { epoch: Some(Epoch(u64::MAX)), ..push.clone() };
            accept(head, record, tombstone, &other, now)
        }
        verdict => verdict,
    }
}

fn forget_base(
    head: &ShardHead,
    record: Option<&Record>,
    tombstone: Option<&Tombstone>,
    push: &Push,
    now: Instant,
) -> Verdict {
    match accept(head, record, tombstone, push, now) {
        Verdict::Write { mut record, answer } => {
            record.base = Values::default();
            Verdict::Write { record, answer }
        }
        reply => reply,
    }
}

fn accept_sealed(
    head: &ShardHead,
    record: Option<&Record>,
    tombstone: Option<&Tombstone>,
    push: &Push,
    now: Instant,
) -> Verdict {
    let epoch = head.epoch.or(Some(Epoch(u64::MAX)));
    accept(&ShardHead { sealed: false, epoch, ..head.clone() }, record, tombstone, push, now)
}

fn apply_blindly(commit: &Commit, shard: &mut ShardSnapshot, version: u64) -> bool {
    let seq_now = |incarnation: &Incarnation, read: Seq| {
        shard.records.get(incarnation).map_or(read, |record| record.seq)
    };
    let mut blind = commit.clone();
    for (incarnation, seq, _) in &mut blind.folded {
        *seq = seq_now(incarnation, *seq);
    }
    blind.apply(shard, version)
}

fn restore_without_bases(
    store: &ShardSnapshot,
    memory: Option<&ShardSnapshot>,
    epoch: Epoch,
    now: Instant,
) -> ShardSnapshot {
    let mut restored = restore(store, memory, epoch, now);
    for record in restored.records.values_mut() {
        let mut forgetful = Record::clone(record);
        forgetful.base = Values::default();
        *record = forgetful.into();
    }
    restored
}
