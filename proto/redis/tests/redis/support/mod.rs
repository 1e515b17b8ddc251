//! Real Redis servers on free ports.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use bytes::Bytes;
use metrifold_redis::{Client, ClientSettings, RedisError, Reply};
use metrifold_tests::{Process, free_port};
use rustix::process::Signal;
use tempfile::TempDir;

/// How long anything may take that is not expected to fail.
pub(crate) const AMPLE: Duration = Duration::from_secs(20);

/// A running server; killed when dropped.
pub(crate) struct Server {
    process: Process,
    pub(crate) port: u16,
    pub(crate) directory: TempDir,
}

impl Server {
    /// One with these settings on top; `{port}` stands for its port, a free one, which it must listen on.
    pub(crate) fn start(settings: &[&str]) -> Server {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let port = free_port().expect("a free port");
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--loglevel", "warning"]);
        command.args(settings.iter().map(|word| word.replace("{port}", &port.to_string())));
        command.arg("--dir").arg(directory.path());
        let process =
            Process::start("redis", &mut command, directory.path()).expect("redis-server is installed");
        let connect = || Ok(std::net::TcpStream::connect(("127.0.0.1", port))?);
        metrifold_tests::eventually("redis-server listens", AMPLE, connect).expect("it starts");
        Server { process, port, directory }
    }

    /// One on a plain port.
    pub(crate) fn plain() -> Server {
        Server::start(&["--port", "{port}"])
    }

    pub(crate) fn cli(&self, words: &[&str]) -> String {
        let port = self.port.to_string();
        let output =
            Command::new("redis-cli").args(["-p", &port]).args(words).output().expect("redis-cli runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal).expect("the server lives");
    }
}

/// A client with the defaults, but patient: test machines are slow and busy.
pub(crate) fn client(address: &str) -> Client {
    client_within(address, AMPLE).expect("the address is good")
}

pub(crate) fn client_within(address: &str, connect_timeout: Duration) -> Result<Client, RedisError> {
    let settings = ClientSettings { connect_timeout, ..ClientSettings::new(address.parse()?) };
    Client::new(settings)
}

/// One command in the slot of its first key.
pub(crate) async fn command(client: &Client, words: &[&str]) -> Result<Reply, RedisError> {
    command_within(client, words, AMPLE).await
}

pub(crate) async fn command_within(
    client: &Client,
    words: &[&str],
    limit: Duration,
) -> Result<Reply, RedisError> {
    let bytes = words.iter().map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
    client.command(words.get(1).copied().unwrap_or_default(), bytes, limit).await
}

/// Repeats a command until it succeeds.
pub(crate) async fn eventually(client: &Client, words: &[&str]) -> Reply {
    let deadline = Instant::now() + AMPLE;
    loop {
        match command_within(client, words, Duration::from_secs(1)).await {
            Ok(reply) => return reply,
            Err(error) => assert!(Instant::now() < deadline, "{words:?}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A path as an option of an address.
pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string()
}
