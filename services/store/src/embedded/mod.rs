//! The embedded store: one process's memory, and a database file where a data directory is given.

mod disk;
mod shard;
mod store;
mod writer;

pub use store::{EmbeddedSettings, EmbeddedStore};
