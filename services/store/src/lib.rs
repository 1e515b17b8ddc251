//! Where the values of all workers meet: the [`Store`] trait with its promises, and its implementations.

mod store;

pub use store::{CommitOutcome, ShardIndex, Store, StoreError};
