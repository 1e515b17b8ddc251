//! Stores over a real Redis server.

use std::time::{Duration, Instant};

use metrifold_store::{RedisSettings, RedisStore, Store};
use metrifold_tests::Redis;

/// How long a store may take to find its server again.
const DEADLINE: Duration = Duration::from_secs(20);

/// A running server; killed when dropped.
pub(crate) struct RedisServer(Redis);

impl RedisServer {
    /// Starts one without automatic saving.
    pub(crate) fn start() -> RedisServer {
        RedisServer(Redis::start().expect("redis-server is installed and starts"))
    }

    /// A store over it.
    pub(crate) fn store(&self) -> RedisStore {
        self.store_with(|_| {})
    }

    /// A store over it with other settings.
    pub(crate) fn store_with(&self, change: impl FnOnce(&mut RedisSettings)) -> RedisStore {
        let mut settings = RedisSettings {
            // Test machines are slow and busy.
            command_timeout: Duration::from_secs(10),
            reconnect_max: Duration::from_millis(200),
            ..RedisSettings::new(self.0.url().parse().expect("an address"))
        };
        change(&mut settings);
        RedisStore::connect(settings).expect("the settings are good")
    }

    /// Host and port.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.0.port())
    }

    /// Runs one command with redis-cli.
    pub(crate) fn command(&self, words: &[&str]) -> String {
        self.0.command(words).expect("redis-cli runs")
    }

    /// Kills the process at once.
    pub(crate) fn kill(&mut self) {
        self.0.kill().expect("it runs");
    }

    /// Starts it again, with what it saved last, after [`kill`](RedisServer::kill).
    pub(crate) fn start_again(&mut self) {
        self.0.start_again().expect("it starts");
    }
}

/// Waits until a store that was connected before has its server back.
pub(crate) async fn reachable(store: &RedisStore) {
    let deadline = Instant::now() + DEADLINE;
    while let Err(cause) = store.check().await {
        assert!(Instant::now() < deadline, "the store stays unreachable: {cause}");
        tokio::task::yield_now().await;
    }
}
