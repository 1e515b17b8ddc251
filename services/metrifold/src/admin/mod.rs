//! What a person asks of a store in Redis, or orders: who is there, fold these now, forget everything.
//!
//! An embedded store is known to its own server only, so all of this needs `redis.url`.

mod access;
mod order;
mod workers;

use std::time::Duration;

use metrifold_model::{Incarnation, Namespace};
use metrifold_store::StoreError;

pub(crate) use order::{retire, wipe};
pub(crate) use workers::workers;

/// Which sources to retire.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choice {
    /// These, if any are named.
    pub(crate) sources: Vec<Incarnation>,
    /// Else those of this host,
    pub(crate) host: Option<String>,
    /// that were last heard of at least so long ago.
    pub(crate) silent_for: Option<Duration>,
}

/// Why an order was not carried out, or a question not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    #[error(
        "only a store in Redis can be asked from outside: give --redis-url or set redis.url (an embedded store is \
         shown by its own server)"
    )]
    NoRedis,
    #[error("nobody has used namespace {namespace} in {url}; used there are: {used}")]
    Unused { namespace: Namespace, url: String, used: String },
    #[error(
        "shard {shard} of namespace {namespace} was not open and settled within {waited:?}: Redis has just restarted, \
         or has just been restored; try again"
    )]
    Unsettled { namespace: Namespace, shard: u16, waited: Duration },
    #[error("shard {shard} of namespace {namespace} changes faster than it can be changed; try again")]
    Busy { namespace: Namespace, shard: u16 },
    #[error("this empties namespace {namespace} ({held}) for good; say --yes if that is meant")]
    Unconfirmed { namespace: Namespace, held: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}
