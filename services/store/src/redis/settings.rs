//! Settings of a Redis store.

use std::time::Duration;

use metrifold_model::limits;

/// Settings of a Redis store.
#[derive(Clone)]
pub struct RedisSettings {
    /// `redis://[[user:]password@]host[:port][/database]`, or `redis+unix://` with the path of a socket. May hold a
    /// password, so it is never printed.
    pub url: String,
    /// How many shards each namespace has. Fixed when a namespace is first used; another number is refused then.
    /// Default 1.
    pub shards: u16,
    /// Longest wait for the answer to a command, time without a connection included. Reads and writes of whole shards
    /// may take ten times as long. Default 1 s.
    pub command_timeout: Duration,
    /// Longest wait for a connection. Default 1 s.
    pub connect_timeout: Duration,
    /// First wait before another attempt to connect; doubles, with jitter. Default 50 ms.
    pub reconnect_min: Duration,
    /// Longest wait between attempts to connect. Default 1.5 s, half of the default time to settle.
    pub reconnect_max: Duration,
    /// Most sources of one namespace. Default [`limits::SOURCES_PER_NAMESPACE_MAX`].
    pub sources_max: usize,
    /// Time after its last push at which a source that nobody folded is forgotten. Default 48 h; at least 24 h.
    pub expiry: Duration,
}

impl Default for RedisSettings {
    fn default() -> Self {
        RedisSettings {
            url: "redis://127.0.0.1:6379".into(),
            shards: 1,
            command_timeout: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(1),
            reconnect_min: Duration::from_millis(50),
            reconnect_max: Duration::from_millis(1500),
            sources_max: limits::SOURCES_PER_NAMESPACE_MAX,
            expiry: Duration::from_secs(48 * 3600),
        }
    }
}

impl std::fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisSettings")
            .field("shards", &self.shards)
            .field("command_timeout", &self.command_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .finish_non_exhaustive()
    }
}
