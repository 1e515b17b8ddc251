//! Finds the Redis process that holds a shard - one server, behind Sentinel, in a Cluster - and keeps a connection to it.
//!
//! # Why not a client library's own reconnect, Sentinel and Cluster
//!
//! A shard is open only for the Redis process that it was restored on, so every script must know which process it is
//! sent to. A TCP connection leads to one process for as long as it lasts; its `run_id` is read once, and every script
//! carries it along and compares it with that of the shard, in the same atomic step that does the work. A connection
//! that comes back by itself, to whatever process listens there now, could not give this promise. And fred's router
//! for a Cluster holds up every shard while one master is away, where here every master has a connection of its own.
//! So fred does what it does best - protocol, signing in, TLS, pipelining - over single connections, and what remains
//! is here: who is the master, and when to try again.

mod cluster;
mod open;
mod reconnect;
pub(crate) mod sentinel;
mod slots;
pub(crate) mod tls;

pub(crate) use cluster::Cluster;
pub(crate) use open::{ConnectOptions, Master, flat};
pub use open::{Reply, Words};
pub(crate) use reconnect::Reconnect;
pub(crate) use slots::Redirection;
