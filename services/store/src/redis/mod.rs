//! The store in Redis: the keys, scripts and connections of `metrifold-redis`.

mod admin;
mod connection;
mod door;
mod error;
mod read;
mod restore;
mod settings;
mod store;

pub use settings::RedisSettings;
pub use store::RedisStore;
