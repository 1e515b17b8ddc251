//! One connection that comes back by itself, and the few shapes of command that the store sends over it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use fred::{
    bytes::Bytes,
    error::Error,
    prelude::*,
    types::{
        Value,
        config::{Options, UnresponsiveConfig},
    },
};
use metrifold_redis::{ScriptCall, is_noscript};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use super::{RedisSettings, error};
use crate::StoreError;

/// Commands in one pipeline: pushes get their turn between two of them.
pub(super) const BATCH: usize = 64;
/// How much longer than other commands those may take that read or write a whole shard.
const WHOLE_SHARD: u32 = 10;

pub(super) struct Connection {
    client: Client,
    tasks: [JoinHandle<()>; 2],
    last_error: Arc<Mutex<Option<Error>>>,
    whole_shard_timeout: Duration,
}

impl Connection {
    /// Begins to connect in the background. Must be called within a tokio runtime.
    pub(super) fn start(settings: &RedisSettings) -> Result<Self, StoreError> {
        let client = build(settings)?;
        tokio::runtime::Handle::try_current()
            .map_err(|_| StoreError::Unavailable("a Redis store needs a tokio runtime around it".into()))?;
        let last_error = Arc::new(Mutex::new(None));
        let watch = tokio::spawn(watch(client.clone(), last_error.clone()));
        let routing = client.connect();
        let routing = tokio::spawn(async move {
            // Ends only with the client: it reconnects without end.
            let _ = routing.await;
        });
        let whole_shard_timeout = settings.command_timeout * WHOLE_SHARD;
        Ok(Connection { client, tasks: [watch, routing], last_error, whole_shard_timeout })
    }

    /// Runs a script that this Redis process may know; sends it along only if it does not.
    pub(super) async fn run_cached(&self, call: &ScriptCall) -> Result<Vec<Bytes>, StoreError> {
        let known: Result<Value, Error> =
            self.client.evalsha(call.sha(), call.keys().to_vec(), values(call.args(false))).await;
        match known {
            Err(cause) if is_noscript(cause.details()) => {
                let sent = self.client.eval(call.source(), call.keys().to_vec(), values(call.args(true)));
                self.texts(sent.await)
            }
            known => self.texts(known),
        }
    }

    /// Runs a script that may take long, comparing the run id first.
    pub(super) async fn run(&self, call: &ScriptCall) -> Result<Vec<Bytes>, StoreError> {
        let options = Options { timeout: Some(self.whole_shard_timeout), ..Options::default() };
        let client = self.client.with_options(&options);
        self.texts(client.eval(call.source(), call.keys().to_vec(), values(call.args(true))).await)
    }

    /// `HMGET` of the same fields of many keys, in batches; missing fields are empty.
    pub(super) async fn hmget_each(
        &self,
        keys: &[(String, Vec<&'static str>)],
    ) -> Result<Vec<Vec<Bytes>>, StoreError> {
        let mut replies = Vec::with_capacity(keys.len());
        for batch in keys.chunks(BATCH) {
            let pipeline = self.client.pipeline();
            for (key, fields) in batch {
                let _: () = pipeline.hmget(key.as_str(), fields.clone()).await.map_err(|e| self.error(&e))?;
            }
            for reply in pipeline.try_all::<Value>().await {
                replies.push(self.texts(reply)?);
            }
        }
        Ok(replies)
    }

    /// `HMGET` of many fields of one key, in batches; missing fields are empty.
    pub(super) async fn hmget(&self, key: &str, fields: &[String]) -> Result<Vec<Bytes>, StoreError> {
        let mut replies = Vec::with_capacity(fields.len());
        for batch in fields.chunks(BATCH) {
            replies.extend(self.texts(self.client.hmget(key, batch.to_vec()).await)?);
        }
        Ok(replies)
    }

    pub(super) async fn hgetall(&self, key: &str) -> Result<HashMap<String, Bytes>, StoreError> {
        self.client.hgetall(key).await.map_err(|cause| self.error(&cause))
    }

    /// Sets a field that is to stay for ever if it is not set yet; returns what it then holds.
    pub(super) async fn set_once(&self, key: &str, field: &str, text: &str) -> Result<String, StoreError> {
        let _: Value = self.client.hsetnx(key, field, text).await.map_err(|cause| self.error(&cause))?;
        let held: Option<String> = self.client.hget(key, field).await.map_err(|cause| self.error(&cause))?;
        Ok(held.unwrap_or_default())
    }

    /// Deletes a field that is never set: succeeds if this key may be written.
    pub(super) async fn probe(&self, key: &str) -> Result<(), StoreError> {
        self.client.hdel(key, "probe").await.map_err(|cause| self.error(&cause))
    }

    pub(super) async fn add_member(&self, key: &str, member: &str) -> Result<(), StoreError> {
        self.client.sadd(key, member).await.map_err(|cause| self.error(&cause))
    }

    pub(super) async fn members(&self, key: &str) -> Result<Vec<String>, StoreError> {
        self.client.smembers(key).await.map_err(|cause| self.error(&cause))
    }

    /// What the server says of itself, by name.
    pub(super) async fn info(&self) -> Result<HashMap<String, String>, StoreError> {
        let text: String = self.client.info(None).await.map_err(|cause| self.error(&cause))?;
        let pairs = text.lines().filter_map(|line| line.trim_end().split_once(':'));
        Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    fn texts(&self, reply: Result<Value, Error>) -> Result<Vec<Bytes>, StoreError> {
        let reply = reply.map_err(|cause| self.error(&cause))?;
        let Value::Array(parts) = reply else { return Ok(vec![text(reply)]) };
        Ok(parts.into_iter().map(text).collect())
    }

    fn error(&self, cause: &Error) -> StoreError {
        error::of_command(cause, self.last_error.lock().as_ref())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn build(settings: &RedisSettings) -> Result<Client, StoreError> {
    // The cause may repeat parts of the URL, hence of the password.
    let invalid = |_| {
        StoreError::Refused(
            "redis.url is not an address; use redis://[[user:]password@]host[:port][/database]".into(),
        )
    };
    let is_supported = ["redis://", "redis+unix://"].iter().any(|scheme| settings.url.starts_with(scheme));
    if !is_supported {
        return Err(StoreError::Refused(
            "redis.url has a scheme that this version does not support; use redis:// or redis+unix://".into(),
        ));
    }
    let mut config = Config::from_url(&settings.url).map_err(invalid)?;
    config.fail_fast = false;
    config.version = fred::types::RespVersion::RESP2;
    let millis = |span: Duration| u32::try_from(span.as_millis()).unwrap_or(u32::MAX);
    // 0 attempts: without end.
    let policy = ReconnectPolicy::new_exponential(
        0,
        millis(settings.reconnect_min),
        millis(settings.reconnect_max),
        2,
    );
    Builder::from_config(config)
        .set_policy(policy)
        .with_performance_config(|performance| performance.default_command_timeout = settings.command_timeout)
        .with_connection_config(|connection| {
            connection.connection_timeout = settings.connect_timeout;
            connection.internal_command_timeout = settings.connect_timeout;
            // A password may be put right on the server; until then every command is refused with its words.
            connection.reconnect_on_auth_error = true;
            // Without this, a connection whose other end vanished would last until the kernel gives up.
            connection.unresponsive = UnresponsiveConfig {
                max_timeout: Some(settings.command_timeout * (WHOLE_SHARD + 5)),
                interval: settings.command_timeout,
            };
        })
        .build()
        .map_err(invalid)
}

/// Remembers why there is no connection, and forgets it when there is one.
async fn watch(client: Client, last_error: Arc<Mutex<Option<Error>>>) {
    let (mut errors, mut connects) = (client.error_rx(), client.reconnect_rx());
    loop {
        tokio::select! {
            error = errors.recv() => match error {
                Ok((error, _)) => *last_error.lock() = Some(error),
                Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
            },
            connected = connects.recv() => match connected {
                Ok(_) => *last_error.lock() = None,
                Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
            },
        }
    }
}

fn values(args: Vec<Vec<u8>>) -> Vec<Value> {
    args.into_iter().map(|arg| Value::Bytes(arg.into())).collect()
}

/// A part of a reply; nothing there is empty.
fn text(value: Value) -> Bytes {
    match value {
        Value::Null => Bytes::new(),
        value => value.into_bytes().unwrap_or_default(),
    }
}
