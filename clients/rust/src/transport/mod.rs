//! How a push travels.

use std::time::Duration;

mod grpc;
mod redis;
mod trace;

pub(crate) use grpc::Grpc;
pub(crate) use redis::Redis;

/// How long one attempt may wait for a connection. Below the time of an attempt, so that the error names the cause.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
