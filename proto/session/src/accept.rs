//! The store's side of a push: one pure decision, which every store carries out in one atomic step.

use metrifold_model::{DescriptorList, Seq, Values, limits};

use crate::{Answer, Instant, Payload, Push, Record, Refusal, ShardHead, Tombstone};

/// What a store must do about a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Store nothing, answer this.
    Reply(Answer),
    /// Write the record in place of a former one, then answer. A tombstone stays where it is.
    Write {
        /// The source's new record.
        record: Box<Record>,
        /// The answer, always [`Answer::Ok`].
        answer: Answer,
    },
}

/// Decides about one push, given all that the store knows of its source (DESIGN section 6). Steps, in this order:
///
/// 1. No epoch, or sealed: [`Answer::Sealed`]. No record is ever written before an epoch stands.
/// 2. Compare with the highest known number: equal is `ok`, lower is [`Answer::Behind`]. An ended tombstone has all
///    there will ever be: `ok`.
/// 3. The source is unknown: in this epoch its values are refused for ever ([`Answer::Expired`]), because the archive
///    may contain them; in another epoch the store lost it, and takes them.
/// 4. Descriptors must continue the known ones, and values be what their slots may hold: NaN would stay in a sum for ever.
/// 5. A source in a tombstone is revived with what was folded as its base.
/// 6. Write.
pub fn accept(
    shard: &ShardHead,
    record: Option<&Record>,
    tombstone: Option<&Tombstone>,
    push: &Push,
    now: Instant,
) -> Verdict {
    let Some(epoch) = shard.epoch.filter(|_| !shard.sealed) else {
        return Verdict::Reply(Answer::Sealed);
    };
    if let Err(refusal) = push.check() {
        return Verdict::Reply(Answer::Refused(refusal));
    }
    let known = record.map_or(Seq(0), |record| record.seq).max(tombstone.map_or(Seq(0), |tomb| tomb.seq));
    let is_known = record.is_some() || tombstone.is_some();
    if is_known && push.seq < known {
        return Verdict::Reply(Answer::Behind { known });
    }
    let has_ended = record.is_none() && tombstone.is_some_and(|tomb| tomb.ended);
    if is_known && (push.seq == known || has_ended) {
        return Verdict::Reply(Answer::Ok { epoch });
    }
    if !is_known && push.payload != Payload::Hello && push.epoch.is_none_or(|named| named == epoch) {
        return Verdict::Reply(Answer::Expired);
    }
    let former = Former::of(record, tombstone, push);
    let values = match &push.payload {
        Payload::Values(values) => values.clone(),
        Payload::Hello => former.values,
        Payload::Unchanged if is_known && push.acked == known => former.values,
        Payload::Unchanged => return Verdict::Reply(Answer::NeedValues),
    };
    let Some(descriptors) = push.descriptors.onto(&former.descriptors) else {
        return Verdict::Reply(Answer::NeedDescriptors);
    };
    if descriptors.text_bytes() > limits::PUSH_BYTES_MAX {
        return Verdict::Reply(Answer::Refused(Refusal::TooLarge));
    }
    if let Err(refusal) = push.check_values(descriptors.rules().iter().copied()) {
        return Verdict::Reply(Answer::Refused(refusal));
    }
    let record = Record {
        seq: push.seq,
        epoch,
        seen: now,
        worker: push.worker.clone(),
        descriptors,
        values,
        base: former.base,
        ended: push.ended || record.is_some_and(|record| record.ended),
    };
    Verdict::Write { record: Box::new(record), answer: Answer::Ok { epoch } }
}

/// What a source goes on from: its record, else its tombstone, else what the push itself brings.
struct Former {
    descriptors: DescriptorList,
    values: Values,
    base: Values,
}

impl Former {
    fn of(record: Option<&Record>, tombstone: Option<&Tombstone>, push: &Push) -> Self {
        match (record, tombstone) {
            (Some(record), _) => Former {
                descriptors: record.descriptors.clone(),
                values: record.values.clone(),
                base: record.base.clone(),
            },
            (None, Some(tomb)) => Former {
                descriptors: tomb.descriptors.clone(),
                values: tomb.values.clone(),
                base: tomb.values.clone(),
            },
            (None, None) => Former {
                descriptors: Default::default(),
                values: Values::default(),
                base: push.base.clone().unwrap_or_default(),
            },
        }
    }
}
