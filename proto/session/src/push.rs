//! The message between a pusher and a store, and its answers.

use std::sync::Arc;

use metrifold_model::{
    Descriptor, DescriptorHash, DescriptorList, Epoch, Incarnation, Seq, Values, Worker, limits,
};

/// One message with a source's whole cumulative values, never increments: repeating it is harmless.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Push {
    /// The source.
    pub incarnation: Incarnation,
    /// Number of this push, from 1 up.
    pub seq: Seq,
    /// The push that [`Payload::Unchanged`] refers to: the last one that was acknowledged, 0 if none.
    pub acked: Seq,
    /// The epoch of the last `ok`, if there was one.
    pub epoch: Option<Epoch>,
    /// Which process this is.
    pub worker: Arc<Worker>,
    /// What the slots mean.
    pub descriptors: DescriptorPart,
    /// The values.
    pub payload: Payload,
    /// The part of the values that the archive holds already under a former incarnation.
    pub base: Option<Values>,
    /// The source has ended and will never change again.
    pub ended: bool,
}

/// The tail of a source's descriptor list that its target may not have yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DescriptorPart {
    /// How many descriptors come before `entries`.
    pub from: usize,
    /// Hash of the descriptors before `entries`.
    pub from_hash: DescriptorHash,
    /// Descriptors `from..count`.
    pub entries: Vec<Arc<Descriptor>>,
    /// Hash of all `from + entries.len()` descriptors.
    pub hash: DescriptorHash,
}

impl DescriptorPart {
    /// The part of `list` after its first `from` descriptors; the whole list if it is shorter than that.
    pub fn after(list: &DescriptorList, from: usize) -> Self {
        let (from, from_hash) = match list.hash_of_first(from) {
            Some(hash) => (from, hash),
            None => (0, DescriptorHash::default()),
        };
        DescriptorPart { from, from_hash, entries: list.entries()[from..].to_vec(), hash: list.hash() }
    }

    /// The number of descriptors of the whole list.
    pub fn count(&self) -> usize {
        self.from + self.entries.len()
    }

    /// The whole list, given what the store has; `None` if the two do not fit.
    pub fn onto(&self, known: &DescriptorList) -> Option<DescriptorList> {
        if self.entries.is_empty() && (known.len(), known.hash()) == (self.from, self.hash) {
            return Some(known.clone());
        }
        let fits = known.hash_of_first(self.from) == Some(self.from_hash) && known.len() <= self.count();
        if !fits {
            return None;
        }
        let head = known.entries()[..self.from].iter().cloned();
        let list: DescriptorList = head.chain(self.entries.iter().cloned()).collect();
        // What the store has must be a prefix of the result: its values and base are in that order.
        (list.hash() == self.hash && list.hash_of_first(known.len()) == Some(known.hash())).then_some(list)
    }
}

/// The values of a push.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Payload {
    /// None yet: the first push of an incarnation.
    Hello,
    /// As in the push named by [`Push::acked`].
    Unchanged,
    /// All of them.
    Values(Values),
}

/// What a store says to a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Stored, or known already.
    Ok {
        /// The epoch of the shard that holds it.
        epoch: Epoch,
    },
    /// The store is not open for pushes now (no epoch stands, or it is being restored): send it again.
    Sealed,
    /// A later push is known; nothing was stored. Send above it.
    Behind {
        /// The highest number known.
        known: Seq,
    },
    /// The store has forgotten this incarnation; start a new one with a base.
    Expired,
    /// The descriptors do not continue what the store has: send all of them.
    NeedDescriptors,
    /// The store does not have the values that "unchanged" refers to: send them.
    NeedValues,
    /// Refused for good; the same push will be refused again.
    Refused(Refusal),
}

/// Why a push can never be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// More slots than one source may have.
    #[error("the source has more than {} slots (limit slots_per_source_max)", limits::SLOTS_PER_SOURCE_MAX)]
    TooManySlots,
    /// More sources than one namespace may have.
    #[error(
        "the namespace has {} sources already (limit sources_per_namespace_max)",
        limits::SOURCES_PER_NAMESPACE_MAX
    )]
    TooManySources,
    /// The push has more values, time stamps or base values than descriptors.
    #[error("the push has more values than descriptors")]
    ValuesWithoutDescriptors,
    /// A counter, histogram, summary or summed gauge is NaN or infinite.
    #[error("a value of a counter, histogram, summary or summed gauge is NaN or infinite")]
    NotFinite,
    /// A name, label, help text or identity is longer than its limit, or there are too many labels.
    #[error("a name, label, help text or identity is longer than its limit")]
    TooLong,
    /// A counter, bucket or count of observations is below 0.
    #[error("a counter, bucket or count of observations is below 0")]
    Negative,
    /// A family, sample or label has no name, or a label has one that is reserved.
    #[error("a family, sample or label has no name, or a label is called `__name__` or `__worker_…`")]
    Name,
    /// A time that is none.
    #[error("a time is NaN, infinite, below 0 or after the year 9999")]
    Time,
    /// The number of the push is beyond what any pusher comes to.
    #[error("the push has the number 0 or one above {}", limits::SEQ_MAX)]
    Seq,
    /// Exemplars or removals of slots that there are not, or too many of them.
    #[error(
        "the push has exemplars or removals of slots that it does not have, or more than exemplars_per_source_max"
    )]
    Annotations,
    /// More than one message may carry, or the texts of all descriptors together have more than that.
    #[error(
        "the push, or all names, labels and help texts of the source, have more than {} bytes (limit push_bytes_max)",
        limits::PUSH_BYTES_MAX
    )]
    TooLarge,
}

impl Refusal {
    /// Every refusal; its place is its code on the wire and in Redis. Append only.
    pub const ALL: [Refusal; 11] = [
        Refusal::TooManySlots,
        Refusal::TooManySources,
        Refusal::ValuesWithoutDescriptors,
        Refusal::NotFinite,
        Refusal::TooLong,
        Refusal::Negative,
        Refusal::Name,
        Refusal::Time,
        Refusal::Seq,
        Refusal::Annotations,
        Refusal::TooLarge,
    ];

    /// What to do about it.
    pub fn remedy(self) -> &'static str {
        match self {
            Refusal::TooManySlots | Refusal::TooLarge => {
                "use fewer label values in this process; the status page names the largest metrics"
            }
            Refusal::TooManySources => {
                "start fewer processes under one namespace, or split it; ended ones make room when their tombstones go"
            }
            Refusal::ValuesWithoutDescriptors | Refusal::Annotations => {
                "update the client: its push contradicts itself"
            }
            Refusal::NotFinite => "do not add NaN or infinity to a sum; our own SDKs leave such a value out",
            Refusal::Negative => "only add to counters; use a gauge for what falls",
            Refusal::Name => "give it another name",
            Refusal::Time => "look at the clock of the worker's host",
            Refusal::Seq => "restart the worker; if it happens again, somebody else pushes in its name",
            Refusal::TooLong => "shorten names, label values, help or identity, or use fewer labels",
        }
    }
}
