//! The store in Redis: the scripts of `metrifold-redis`, sent by `metrifold-dial`.

mod admin;
mod connection;
mod error;
mod read;
mod restore;
mod settings;
mod store;

pub use settings::RedisSettings;
pub use store::RedisStore;
