//! The embedded store: one process's memory, and a database file where a data directory is given.

mod disk;
mod shard;
mod store;

pub use store::{EmbeddedSettings, EmbeddedStore};
