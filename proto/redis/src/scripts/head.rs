//! A shard's head in replies.

use metrifold_model::{Epoch, Incarnation};
use metrifold_session::{Instant, ShardHead};

use crate::{ReplyError, reply::Fields};

/// What a look at a shard shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardLook {
    /// The head. A shard that nobody opened is sealed and has no epoch.
    pub head: ShardHead,
    /// Redis' clock.
    pub now: Instant,
    /// A restorer closed it for a moment; before that it was open.
    pub is_claimed: bool,
    /// How many shards the namespace had when this one was opened, if it was.
    pub shards: Option<u16>,
    /// Who has a record.
    pub incarnations: Vec<Incarnation>,
    /// `epoch`, `version` and `sealed` as they stand in Redis, for a [`Claim`](super::Claim).
    pub(super) seen: [Vec<u8>; 3],
}

impl ShardLook {
    /// Whether nothing was committed, restored or sealed since: `later` is the reply to `HMGET <archive>` of
    /// [`STATE_FIELDS`].
    pub fn is_still<B: AsRef<[u8]>>(&self, later: &[B]) -> bool {
        later.iter().map(AsRef::as_ref).eq(self.seen.iter().map(Vec::as_slice))
    }
}

/// The fields of an archive that change with everything but a push or the age clock.
pub const STATE_FIELDS: [&str; 3] = ["epoch", "version", "sealed"];

pub(super) fn read<B: AsRef<[u8]>>(fields: &mut Fields<'_, B>) -> Result<ShardLook, ReplyError> {
    let now = Instant(fields.number()?);
    let epoch = fields.bytes()?;
    let sealed = fields.bytes()?;
    let (changed, settling, counter) = (Instant(fields.number()?), fields.bytes()? == b"1", fields.number()?);
    let version = fields.bytes()?;
    let head = ShardHead {
        epoch: crate::reply::id(epoch)?.map(Epoch),
        sealed: sealed != b"0",
        changed,
        settling,
        counter,
        version: crate::reply::id(version)?.unwrap_or_default(),
        age: Instant(fields.number()?),
    };
    let shards = u16::try_from(fields.number()?).ok().filter(|shards| *shards > 0);
    Ok(ShardLook {
        head,
        now,
        is_claimed: sealed == b"2",
        shards,
        incarnations: Vec::new(),
        seen: [epoch.to_vec(), version.to_vec(), sealed.to_vec()],
    })
}
