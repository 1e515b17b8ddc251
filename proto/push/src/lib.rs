//! How the values of a source get to its targets. Clients and agents push in this one way.
//!
//! - [`Source`] drives the machine of `metrifold-session` for one source and all of its targets: when to read the values,
//!   what to send, what an answer means. It does no I/O and knows no clock.
//! - [`Memory`] is where a source's values are read, and where is remembered what was sent of them.
//! - [`Transport`] carries one push to one target: over gRPC (feature `grpc`), into Redis (feature `redis`), or into a
//!   store of the same process, which the agent does.
//! - [`Target`] is the address of a target, as settings name it.

#[cfg(feature = "timed")]
mod attempt;
#[cfg(feature = "grpc")]
mod connection;
#[cfg(feature = "grpc")]
mod grpc;
mod memory;
#[cfg(feature = "redis")]
mod redis;
mod source;
#[cfg(feature = "grpc")]
mod span;
mod target;
mod transport;

#[cfg(feature = "grpc")]
pub use grpc::GrpcTransport;
pub use memory::Memory;
#[cfg(feature = "redis")]
pub use redis::RedisTransport;
pub use source::{Due, Source};
pub use target::{Target, TargetError};
pub use transport::{Transport, Unanswered};
