//! What Metrifold keeps in Redis, and the way there: keys, scripts, and the connections that run them.
//!
//! [`keys`] and scripts are pure data: a [`ScriptCall`] says what is sent, and the parser beside it reads the reply, a
//! flat array of bulk strings. A [`Client`] carries them to the process that holds a shard: one server, behind Sentinel,
//! or in a Cluster. The blobs inside are those of `metrifold-format`. The store in the servers and the pushers that write
//! to Redis themselves both use this crate.
//!
//! # Pushing
//!
//! 1. Read the number of shards: `HGET <`[`keys::meta`]`> shards`. Nothing there: no server role has opened the
//!    namespace yet. Announce it by `SADD `[`keys::NAMESPACES`]` <namespace>` (an ACL may forbid this; that is not an
//!    error), and treat the push as answered by [`Answer::Sealed`](metrifold_session::Answer::Sealed).
//! 2. Make a [`PushScript`] per shard, once; [`keys::shard_of`] says which shard a source belongs to.
//! 3. For every push, make a [`PushScript::call`] and send [`ScriptCall::evalsha`] with the [`RunId`] of the process
//!    behind the connection. On an error that [is `NOSCRIPT`](is_noscript), send [`ScriptCall::eval`] instead.
//! 4. [`parse_push_reply`]. On [`ReplyError::Shards`], go back to step 1.
//!
//! # Why a restarted Redis takes no push before it was checked
//!
//! A shard is open only for the Redis process (its `run_id`) that it was restored on. A process that was restarted
//! from an old snapshot, or a replica that was promoted, has contents that may be older than what was acknowledged,
//! and must be sealed before anything is stored. A TCP connection leads to one process for as long as it lasts, so
//! whoever connects reads the run id once (`INFO`) and hands it to every script, which compares it with the shard's
//! before it does anything else, in the same atomic step: no restart and no fail-over can come between check and push.
//!
//! # What an ACL must allow
//!
//! `~<namespace>:*` and the commands `+eval +evalsha +hset +hget +hmget +hgetall +hsetnx +hdel +hlen +hincrby +zadd +zcard
//! +zrange +zrem +set +get +rename +del +unlink +exists +pexpire +time +info`. Without `INFO` no run id can be compared, and nothing is sent.
//! With the index of namespaces also `~metrifold:namespaces +sadd +smembers`; without it, servers know the namespaces that
//! they are configured with. Another database than 0 needs `+select`, a Cluster `+cluster|slots +asking`. `metrifold
//! workers` shows sizes if it has `+memory|usage`; `metrifold wipe --forget` takes a name from the index with `+srem`.
//!
//! ```
//! use metrifold_model::{DescriptorList, Incarnation, Namespace, Seq, Worker};
//! use metrifold_redis::{Judgement, PushScript, PushSettings, RunId, parse_push_reply};
//! use metrifold_session::{Answer, DescriptorPart, Payload, Push};
//!
//! let script = PushScript::new(&Namespace::default(), 0, PushSettings::new(1));
//! let push = Push {
//!     incarnation: Incarnation(7),
//!     seq: Seq(1),
//!     acked: Seq(0),
//!     epoch: None,
//!     worker: Default::default(),
//!     descriptors: DescriptorPart::after(&DescriptorList::default(), 0),
//!     payload: Payload::Hello,
//!     base: None,
//!     ended: false,
//! };
//! let call = script.call(&push, Judgement::Sound);
//! let run = RunId::new("5c8d2b").expect("what INFO said");
//! let words = call.evalsha(&run);
//! assert_eq!(words[0], "EVALSHA");
//! assert_eq!(words[3], "metrifold:{metrifold/0}:w:0000000000000007");
//! assert_eq!(parse_push_reply(&["sealed"]), Ok(Answer::Sealed));
//! ```

mod address;
mod client;
mod connection;
mod error;
pub mod keys;
mod record;
mod reply;
mod scripts;
mod settings;

pub use address::{ADDRESS_FORMS, RedisAddress};
pub use client::Client;
pub use connection::{Reply, Words};
pub use error::RedisError;
pub use record::{
    RECORD_FIELDS, RECORD_HEADS, RECORD_VALUES, RECORD_VALUES_SEQ, RecordHead, decode_record,
    decode_record_head,
};
pub use reply::ReplyError;
pub use scripts::{
    AdvanceAge, Claim, CommitCall, Dump, Forget, Heads, Judgement, Look, PushScript, PushSettings, Restore,
    RunId, STATE_FIELDS, ScriptCall, ShardDump, ShardLook, is_noscript, parse_commit_reply, parse_dump,
    parse_heads, parse_look, parse_push_reply,
};
pub use settings::ClientSettings;
