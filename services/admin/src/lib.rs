//! What a person asks or orders from outside: who is there, fold these now, forget everything; is that server ready.
//!
//! An embedded store is known to its own server only, so all but [`ask`] needs a store in Redis.

mod access;
mod health;
mod page;
mod retire_and_wipe;
mod workers;

use std::time::Duration;

use metrifold_model::{Incarnation, Namespace};
use metrifold_session::ArchivePolicy;
use metrifold_store::{RedisSettings, StoreError};

pub use health::{HealthError, HealthQuestion, ask};
pub use page::{PageError, PageServer, Tls, sum};
pub use retire_and_wipe::{retire, wipe};
pub use workers::workers;

/// Which namespace of which store, and what its servers are told about it.
#[derive(Clone, Debug)]
pub struct AdminSettings {
    /// The store; its number of shards does not count, but that which the namespace has.
    pub redis: RedisSettings,
    /// The namespace.
    pub namespace: Namespace,
    /// `workers.ttl`; `None`: only explicit ends count.
    pub ttl: Option<Duration>,
    /// `store.settle`.
    pub settle: Duration,
    /// `store.restore_grace`.
    pub restore_grace: Duration,
    /// What the archive keeps of a folded source.
    pub archive: ArchivePolicy,
}

/// Which sources to retire.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// These, if any are named.
    pub sources: Vec<Incarnation>,
    /// Else those of this host,
    pub host: Option<String>,
    /// that were last heard of at least so long ago.
    pub silent_for: Option<Duration>,
}

/// Why an order was not carried out, or a question not answered.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// There is no store that can be asked.
    #[error(
        "only a store in Redis can be asked from outside: give --redis-url or set redis.url (an embedded store is \
         shown by its own server)"
    )]
    NoRedis,
    /// No server has opened the namespace.
    #[error("nobody has used namespace {namespace} in {url}; used there are: {used}")]
    Unused {
        /// What was asked for.
        namespace: Namespace,
        /// The store, without passwords.
        url: String,
        /// The namespaces in it.
        used: String,
    },
    /// A shard cannot be changed yet.
    #[error(
        "shard {shard} of namespace {namespace} was not open and settled within {waited:?}: Redis has just restarted, \
         or has just been restored; try again"
    )]
    Unsettled {
        /// The namespace.
        namespace: Namespace,
        /// The shard's number.
        shard: u16,
        /// How long it was waited for.
        waited: Duration,
    },
    /// Others change a shard all the time.
    #[error("shard {shard} of namespace {namespace} changes faster than it can be changed; try again")]
    Busy {
        /// The namespace.
        namespace: Namespace,
        /// The shard's number.
        shard: u16,
    },
    /// An order that cannot be undone was not confirmed.
    #[error("this empties namespace {namespace} ({held}) for good; say --yes if that is meant")]
    Unconfirmed {
        /// The namespace.
        namespace: Namespace,
        /// What would be gone.
        held: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
