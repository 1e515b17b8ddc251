//! A real Redis server on a free port, in a directory of its own.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use metrifold_store::{RedisSettings, RedisStore, Store};
use tempfile::TempDir;

/// How long a server may take to answer or to end.
const DEADLINE: Duration = Duration::from_secs(20);

/// A running server; killed when dropped.
pub(crate) struct RedisServer {
    process: Child,
    port: u16,
    directory: TempDir,
}

impl RedisServer {
    /// Starts one without automatic saving. `None`, with the reason printed, if there is no redis-server here.
    pub(crate) async fn start() -> Option<RedisServer> {
        if Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_err() {
            eprintln!("skipped: redis-server is not installed");
            return None;
        }
        let directory = tempfile::tempdir().expect("a temporary directory");
        let port = free_port();
        let server = RedisServer { process: spawn(port, &directory), port, directory };
        server.wait_until_it_answers().await;
        Some(server)
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
            ..RedisSettings::new(format!("redis://{}", self.address()).parse().expect("an address"))
        };
        change(&mut settings);
        RedisStore::connect(settings).expect("the settings are good")
    }

    /// Host and port.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Runs one command with redis-cli.
    pub(crate) fn command(&self, words: &[&str]) -> String {
        let port = self.port.to_string();
        let output =
            Command::new("redis-cli").args(["-p", &port]).args(words).output().expect("redis-cli runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Kills the process at once.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it was started here");
    }

    /// Starts it again, with what it saved last, after [`kill`](RedisServer::kill).
    pub(crate) async fn start_again(&mut self) {
        self.process = spawn(self.port, &self.directory);
        self.wait_until_it_answers().await;
    }

    async fn wait_until_it_answers(&self) {
        let deadline = Instant::now() + DEADLINE;
        while self.command(&["PING"]) != "PONG" {
            assert!(Instant::now() < deadline, "redis-server does not answer");
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
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

fn spawn(port: u16, directory: &TempDir) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .arg("--dir")
        .arg(directory.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server starts")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}
