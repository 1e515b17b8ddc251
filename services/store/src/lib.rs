//! Where the values of all workers meet: the [`Store`] trait with its promises, and its implementations.
//!
//! ```
//! use metrifold_store::{EmbeddedSettings, EmbeddedStore, Store};
//!
//! let store = EmbeddedStore::open(EmbeddedSettings::default())?;
//! # let _: &dyn Store = &store;
//! # Ok::<(), metrifold_store::StoreError>(())
//! ```

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod embedded;
mod redis;
mod store;

pub use embedded::{EmbeddedSettings, EmbeddedStore};
pub use redis::{RedisSettings, RedisStore};
pub use store::{CommitOutcome, ShardIndex, Store, StoreError};
