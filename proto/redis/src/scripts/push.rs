//! The push.

use std::{sync::LazyLock, time::Duration};

use metrifold_model::{DescriptorHash, Epoch, Namespace, Seq, limits};
use metrifold_session::{Answer, DescriptorPart, Payload, Push, Refusal};

use super::{ScriptCall, call::Source, decimal, flag, hex, ordered};
use crate::{
    ReplyError,
    keys::{STAGED, ShardKeys},
    reply::Fields,
};
use metrifold_format::{encode_descriptors, encode_values, encode_worker};

static SOURCE: LazyLock<Source> =
    LazyLock::new(|| Source::new(concat!(include_str!("check.lua"), include_str!("push.lua"))));

/// How pushes are written. Number of shards, sources and expiry are what all pushers of a namespace agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushSettings {
    /// How many shards the namespace has.
    pub shards: u16,
    /// Most sources of the namespace; each shard takes its part. Default
    /// [`limits::SOURCES_PER_NAMESPACE_MAX`].
    pub sources_max: usize,
    /// Time after the last push at which a record goes though nobody folded it. Never below 24 h, the default
    /// tombstone lifetime: servers fold long before. Default 48 h.
    pub expiry: Duration,
    /// Values of sources with more slots than this do not pass through the script, see [`crate::keys`]. Default 2,048:
    /// 16 KiB.
    pub stage_above: usize,
}

impl PushSettings {
    /// The defaults for a namespace of so many shards.
    pub fn new(shards: u16) -> Self {
        PushSettings {
            shards,
            sources_max: limits::SOURCES_PER_NAMESPACE_MAX,
            expiry: Duration::from_secs(48 * 3600),
            stage_above: 2_048,
        }
    }
}

/// What is known of the values of a push, besides what [`Push::check`] says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// They are what their slots may hold.
    Sound,
    /// What their slots may hold came with an earlier push, which this process has not seen: the source is asked for its
    /// descriptors.
    Unknown,
    /// They are not.
    Refused(Refusal),
}

/// The push script of one shard.
#[derive(Clone, Debug)]
pub struct PushScript {
    keys: ShardKeys,
    settings: PushSettings,
}

impl PushScript {
    /// The script of `shard` of `namespace`.
    pub fn new(namespace: &Namespace, shard: u16, settings: PushSettings) -> Self {
        PushScript { keys: ShardKeys::new(namespace, shard), settings }
    }

    /// The call for one push of a source of this shard. Whoever sends what others pushed has judged their values.
    pub fn call(&self, push: &Push, judgement: Judgement) -> ScriptCall {
        let refusal = push.check().err();
        let part = &push.descriptors;
        // By the length of the list, which only grows: an unchanged push of such a source renews what it does not bring.
        let is_large = part.count() > self.settings.stage_above;
        let is_taken = refusal.is_none() && judgement == Judgement::Sound;
        let sources_max = self.settings.sources_max.div_ceil(usize::from(self.settings.shards.max(1)));
        let mut args = vec![
            decimal(self.settings.shards),
            decimal(sources_max),
            decimal(self.settings.expiry.as_millis()),
            push.incarnation.to_string().into_bytes(),
            ordered(push.seq.0),
            ordered(push.acked.0),
            push.epoch.map_or_else(Vec::new, |epoch| hex(epoch.0)),
            refusal.map_or_else(Vec::new, |refusal| decimal(code(refusal))),
        ];
        match refusal {
            // What is refused need not be sent.
            Some(_) => args.extend(std::iter::repeat_n(Vec::new(), 10)),
            None => {
                args.extend(descriptor_args(part, judgement));
                args.extend(payload_args(push, is_large, is_taken));
                args.push(encode_worker(&push.worker));
                args.push(flag(push.ended));
                args.push(match judgement {
                    Judgement::Refused(refusal) => decimal(code(refusal)),
                    Judgement::Sound | Judgement::Unknown => Vec::new(),
                });
            }
        }
        let mut keys = vec![
            self.keys.record(push.incarnation),
            self.keys.workers(),
            self.keys.archive(),
            self.keys.tombs(),
            self.keys.folds(),
        ];
        if !is_large || !is_taken {
            return ScriptCall::new(&SOURCE, keys, args);
        }
        let stage = self.keys.stage(push.incarnation, push.seq);
        keys.extend([self.keys.values(push.incarnation), stage.clone()]);
        let call = ScriptCall::new(&SOURCE, keys, args);
        match &push.payload {
            Payload::Values(values) => call.with_stage(stage, encode_values(values)),
            Payload::Hello | Payload::Unchanged => call,
        }
    }
}

/// The refusal's place in [`Refusal::ALL`].
fn code(refusal: Refusal) -> usize {
    Refusal::ALL.iter().position(|known| *known == refusal).unwrap_or(0)
}

fn descriptor_args(part: &DescriptorPart, judgement: Judgement) -> [Vec<u8>; 4] {
    let chunk = match part.entries.is_empty() || judgement != Judgement::Sound {
        true => Vec::new(),
        false => encode_descriptors(part.from, &part.entries, part.hash),
    };
    let hashes = match judgement {
        Judgement::Unknown => Vec::new(),
        Judgement::Sound | Judgement::Refused(_) => prefix_hashes(part),
    };
    [decimal(part.from), decimal(part.count()), hashes, chunk]
}

/// The hash of every beginning of the list that has at least `from` descriptors, 8 bytes each: the script finds out
/// with them whether what it knows is one. Empty if the part contradicts itself, which then fits nothing.
fn prefix_hashes(part: &DescriptorPart) -> Vec<u8> {
    if part.entries.is_empty() {
        return part.hash.0.to_le_bytes().into();
    }
    let mut last: DescriptorHash = part.from_hash;
    let mut hashes = last.0.to_le_bytes().to_vec();
    for descriptor in &part.entries {
        last = descriptor.hash_onto(last);
        hashes.extend(last.0.to_le_bytes());
    }
    if last == part.hash { hashes } else { Vec::new() }
}

fn payload_args(push: &Push, is_large: bool, is_taken: bool) -> [Vec<u8>; 3] {
    let (kind, values) = match &push.payload {
        Payload::Hello => ("hello", Vec::new()),
        Payload::Unchanged => ("unchanged", Vec::new()),
        Payload::Values(_) if !is_taken => ("values", Vec::new()),
        Payload::Values(_) if is_large => ("staged", STAGED.to_vec()),
        Payload::Values(values) => ("values", encode_values(values)),
    };
    let base = push.base.as_ref().filter(|_| is_taken);
    [kind.into(), values, base.map(encode_values).unwrap_or_default()]
}

/// Reads the reply of a push.
pub fn parse_push_reply<B: AsRef<[u8]>>(reply: &[B]) -> Result<Answer, ReplyError> {
    let mut fields = Fields::new(reply);
    match fields.text()? {
        "ok" => {
            let epoch = fields.id()?.ok_or(ReplyError::Unexpected("ok without an epoch"))?;
            Ok(Answer::Ok { epoch: Epoch(epoch) })
        }
        "sealed" => Ok(Answer::Sealed),
        "behind" => Ok(Answer::Behind { known: Seq(fields.number()?) }),
        "expired" => Ok(Answer::Expired),
        "descriptors" => Ok(Answer::NeedDescriptors),
        "values" => Ok(Answer::NeedValues),
        "refused" => {
            let code = usize::try_from(fields.number()?).ok();
            let refusal = code.and_then(|code| Refusal::ALL.get(code));
            refusal
                .map(|refusal| Answer::Refused(*refusal))
                .ok_or(ReplyError::Unexpected("an unknown refusal"))
        }
        "shards" => Err(ReplyError::Shards { actual: fields.text()?.to_owned() }),
        _ => Err(ReplyError::Unexpected("an unknown answer to a push")),
    }
}
