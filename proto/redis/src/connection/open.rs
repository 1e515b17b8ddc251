//! One connection to one Redis process, used until its first failure.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use fred::{
    clients::Pipeline,
    error::{Error, ErrorKind},
    prelude::{Client, ClientLike, Value},
    types::{
        Builder, ClusterHash, ConnectHandle, CustomCommand, RespVersion,
        config::{Config, Server, ServerConfig, TlsConfig},
    },
};
use futures::FutureExt;
use tokio::sync::Semaphore;

use crate::{
    ClientSettings, RedisError, RunId,
    address::{Endpoint, Login},
    error::ends_connection,
};

/// One command, word by word.
pub type Words = Vec<Bytes>;

/// A reply: a flat list of strings; a single one is a list of one, and nothing an empty string.
pub type Reply = Vec<Bytes>;

/// How to speak to a endpoint.
#[derive(Clone)]
pub(crate) struct ConnectOptions {
    pub(crate) login: Login,
    pub(crate) database: u8,
    pub(crate) tls: Option<TlsConfig>,
    pub(crate) settings: Arc<ClientSettings>,
}

/// Everything that is sent over it reaches the same process: no reconnect, no retry, no redirection.
pub(crate) struct Connection {
    client: Client,
    task: ConnectHandle,
    is_failed: AtomicBool,
    room: Semaphore,
}

impl Connection {
    /// Connects, signs in and chooses the database.
    pub(crate) async fn open(endpoint: &Endpoint, options: &ConnectOptions) -> Result<Self, RedisError> {
        let limit = options.settings.connect_timeout;
        // Boxed, here and below: fred's futures are deep, and would make every caller's deeper still.
        match tokio::time::timeout(limit, Self::begin(endpoint, options).boxed()).await {
            Ok(begun) => begun.map_err(|cause| RedisError::of(&cause).at(endpoint)),
            Err(_) => Err(RedisError::Unavailable(format!("{endpoint}: no connection within {limit:?}"))),
        }
    }

    async fn begin(endpoint: &Endpoint, options: &ConnectOptions) -> Result<Self, Error> {
        let settings = options.settings.clone();
        let client = Builder::from_config(config(endpoint, options))
            .with_connection_config(|connection| {
                connection.connection_timeout = settings.connect_timeout;
                connection.internal_command_timeout = settings.connect_timeout;
                // Whether to repeat a command is the caller's affair, who knows whether the process is still the same.
                connection.max_command_attempts = 1;
                connection.max_redirections = 1;
                connection.tcp.nodelay = Some(true);
            })
            .build()?;
        let task = client.connect();
        // From here on the guard ends the task, also if this future is dropped.
        let room = Semaphore::new(settings.in_flight_max);
        let connection = Connection { client, task, is_failed: AtomicBool::new(false), room };
        connection.client.wait_for_connect().await?;
        Ok(connection)
    }

    /// Whether it may still be used.
    pub(crate) fn is_alive(&self) -> bool {
        !self.is_failed.load(Ordering::Relaxed) && !self.task.is_finished()
    }

    /// Sends commands in one go and waits for all replies; an error of one is no error of the others.
    pub(crate) async fn send(&self, commands: &[Words], limit: Duration) -> Vec<Result<Value, Error>> {
        let answers = match tokio::time::timeout(limit, self.exchange(commands).boxed()).await {
            Ok(answers) => answers,
            Err(_) => {
                let late = || Error::new(ErrorKind::Timeout, format!("no answer within {limit:?}"));
                (0..commands.len()).map(|_| Err(late())).collect()
            }
        };
        if answers.iter().any(|answer| answer.as_ref().is_err_and(ends_connection)) {
            // Half-open, or no longer a master: the next command takes a new one.
            self.is_failed.store(true, Ordering::Relaxed);
        }
        answers
    }

    async fn exchange(&self, commands: &[Words]) -> Vec<Result<Value, Error>> {
        // Closed never; a queue without bound would grow while the server hangs.
        let Ok(_permit) = self.room.acquire().await else { return Vec::new() };
        if let [command] = commands {
            let (custom, arguments) = split(command);
            return vec![self.client.custom(custom, arguments).await];
        }
        let pipeline = self.client.pipeline();
        if let Err(cause) = queue(&pipeline, commands).await {
            return (0..commands.len()).map(|_| Err(cause.clone())).collect();
        }
        pipeline.try_all().await
    }

    /// What the server says of itself, by name.
    pub(crate) async fn info(&self, limit: Duration) -> Result<HashMap<String, String>, Error> {
        let mut answers = self.send(&[vec![Bytes::from_static(b"INFO")]], limit).await;
        let text = answers.pop().unwrap_or(Ok(Value::Null))?.into_string().unwrap_or_default();
        let pairs = text.lines().filter_map(|line| line.trim_end().split_once(':'));
        Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

impl Drop for Connection {
    /// A farewell could hang; the server notices the closed socket.
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn queue(pipeline: &Pipeline<Client>, commands: &[Words]) -> Result<(), Error> {
    for command in commands {
        let (custom, arguments) = split(command);
        let _: () = pipeline.custom(custom, arguments).await?;
    }
    Ok(())
}

fn split(command: &[Bytes]) -> (CustomCommand, Vec<Value>) {
    let (name, arguments) =
        command.split_first().map_or((&[][..], &[][..]), |(name, rest)| (&name[..], rest));
    let name = String::from_utf8_lossy(name).into_owned();
    let custom = CustomCommand::new(name, ClusterHash::FirstKey, false);
    (custom, arguments.iter().map(|word| Value::Bytes(word.clone())).collect())
}

fn config(endpoint: &Endpoint, options: &ConnectOptions) -> Config {
    let server = match endpoint {
        Endpoint::Unix(path) => ServerConfig::Unix { path: path.clone() },
        Endpoint::Tcp { host, port } => ServerConfig::Centralized {
            server: match &options.tls {
                Some(_) => Server::new_with_tls(host.as_str(), *port, Some(host.clone())),
                None => Server::new(host.as_str(), *port),
            },
        },
    };
    Config {
        server,
        fail_fast: true,
        // fred reads maps of RESP3 slowly.
        version: RespVersion::RESP2,
        username: options.login.user.clone(),
        password: options.login.password.clone(),
        database: (options.database > 0).then_some(options.database),
        tls: options.tls.clone(),
        ..Config::default()
    }
}

/// A reply as the flat list that all our commands give.
pub(crate) fn flat(value: Value) -> Reply {
    match value {
        Value::Array(parts) => parts.into_iter().map(text).collect(),
        single => vec![text(single)],
    }
}

fn text(value: Value) -> Bytes {
    match value {
        Value::Null => Bytes::new(),
        value => value.into_bytes().unwrap_or_default(),
    }
}

/// A connection to a master, and the process that it leads to.
pub(crate) struct Master {
    pub(crate) connection: Connection,
    pub(crate) run: RunId,
}

impl Master {
    /// Connects, and makes sure that the process may be written to.
    pub(crate) async fn open(endpoint: &Endpoint, options: &ConnectOptions) -> Result<Self, RedisError> {
        let connection = Connection::open(endpoint, options).await?;
        let info = connection.info(options.settings.connect_timeout).await;
        let info = info.map_err(|cause| RedisError::of(&cause).at(endpoint))?;
        let value = |name: &str| info.get(name).map(String::as_str).unwrap_or_default();
        if value("role") == "slave" {
            return Err(RedisError::Unavailable(format!(
                "{endpoint} is a replica and cannot be written; name its master"
            )));
        }
        let run = RunId::new(value("run_id")).ok_or_else(|| {
            RedisError::Refused(format!(
                "{endpoint}: INFO shows no run_id, by which a restart is noticed; allow +info"
            ))
        })?;
        Ok(Master { connection, run })
    }
}
