//! Settings of a Redis store.

use std::time::Duration;

use metrifold_model::limits;
use metrifold_redis::PushSettings;
use metrifold_redis::RedisAddress;

/// Settings of a Redis store. Printed without passwords.
#[derive(Clone, Debug)]
pub struct RedisSettings {
    /// Where Redis is.
    pub address: RedisAddress,
    /// How many shards each namespace has. Fixed when a namespace is first used; another number is refused then.
    /// Default 1.
    pub shards: u16,
    /// Longest wait for the answer to a command. Writes of whole shards may take ten times as long. Default 1 s.
    pub command_timeout: Duration,
    /// Longest wait for a connection. Default 1 s.
    pub connect_timeout: Duration,
    /// First pause after a failed attempt to connect; doubles, with jitter. Default 50 ms.
    pub reconnect_min: Duration,
    /// Longest pause between attempts to connect. Default 1 s.
    pub reconnect_max: Duration,
    /// Most sources of one namespace. Default [`limits::SOURCES_PER_NAMESPACE_MAX`].
    pub sources_max: usize,
    /// Time after its last push at which a source that nobody folded is forgotten. Default 48 h; at least 24 h.
    pub expiry: Duration,
    /// Pushes of more slots than this put their values beside the record. Default 2,048.
    pub stage_above: usize,
}

impl RedisSettings {
    /// The defaults for an address.
    pub fn new(address: RedisAddress) -> Self {
        RedisSettings {
            address,
            shards: 1,
            command_timeout: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(1),
            reconnect_min: Duration::from_millis(50),
            reconnect_max: Duration::from_secs(1),
            sources_max: limits::SOURCES_PER_NAMESPACE_MAX,
            expiry: Duration::from_secs(48 * 3600),
            stage_above: PushSettings::new(1).stage_above,
        }
    }
}
