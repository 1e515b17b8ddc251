//! One connection to one Redis server, used until its first error.

use std::time::Duration;

use bytes::Bytes;
use fred::{
    prelude::{Client, ClientLike, Error, Value},
    types::{Builder, ClusterHash, ConnectHandle, CustomCommand, RespVersion, config::Config},
};

use crate::transport::CONNECT_TIMEOUT;

/// Longest wait for one command. fred has no limit of its own; the driver's is shorter, except for very large pushes.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// A reply: a flat list of strings; a single one is a list of one, and nothing an empty one.
pub(super) type Words = Vec<Bytes>;

/// Redis said no, or nothing.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) text: String,
}

impl Refused {
    pub(super) fn new(error: impl ToString) -> Self {
        Refused { text: error.to_string() }
    }
}

/// A connected client and the task that carries its messages. No policy to reconnect is set: a connection that breaks is an
/// error, and the next one is a new client's.
pub(super) struct Connection {
    client: Client,
    task: ConnectHandle,
}

impl Connection {
    /// Connects, signs in and chooses the database.
    pub(super) async fn open(config: &Config) -> Result<Self, Error> {
        let config = Config { version: RespVersion::RESP2, fail_fast: true, ..config.clone() };
        let client = Builder::from_config(config)
            .with_connection_config(|connection| {
                connection.connection_timeout = CONNECT_TIMEOUT;
                connection.internal_command_timeout = CONNECT_TIMEOUT;
                // Whether to repeat a push is the session machine's affair.
                connection.max_command_attempts = 1;
                connection.tcp.nodelay = Some(true);
            })
            .with_performance_config(|performance| performance.default_command_timeout = COMMAND_TIMEOUT)
            .build()?;
        let connection = Connection { task: client.connect(), client };
        connection.client.wait_for_connect().await?;
        Ok(connection)
    }

    /// Sends one command, given as its words.
    pub(super) async fn send(&self, words: Vec<Vec<u8>>) -> Result<Words, Refused> {
        let mut words = words.into_iter();
        let name = String::from_utf8(words.next().unwrap_or_default()).map_err(Refused::new)?;
        let command = CustomCommand::new(name, ClusterHash::FirstKey, false);
        let arguments: Vec<Value> = words.map(|word| Value::Bytes(word.into())).collect();
        let reply: Value =
            self.client.custom(command, arguments).await.map_err(|error| Refused::new(error.details()))?;
        Ok(reply.into_array().into_iter().filter_map(Value::into_bytes).collect())
    }
}

impl Drop for Connection {
    /// A farewell could hang; the server notices the closed socket.
    fn drop(&mut self) {
        self.task.abort();
    }
}
