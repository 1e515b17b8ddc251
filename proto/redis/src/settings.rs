//! How to connect.

use std::time::Duration;

use crate::RedisAddress;

/// How to connect. Printed without passwords.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// Where Redis is.
    pub address: RedisAddress,
    /// Longest wait for a connection, signing in included. Default 1 s.
    pub connect_timeout: Duration,
    /// First pause after a failed attempt to connect; doubles, with jitter. Default 50 ms.
    pub reconnect_min: Duration,
    /// Longest pause between attempts to connect. Default 1 s.
    pub reconnect_max: Duration,
    /// Most commands, or batches of commands, that wait for answers over one connection; more wait for room within
    /// their own time limit. Default 1024.
    pub in_flight_max: usize,
}

impl ClientSettings {
    /// The defaults for an address.
    pub fn new(address: RedisAddress) -> Self {
        ClientSettings {
            address,
            connect_timeout: Duration::from_secs(1),
            reconnect_min: Duration::from_millis(50),
            reconnect_max: Duration::from_secs(1),
            in_flight_max: 1024,
        }
    }
}
