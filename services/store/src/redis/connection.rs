//! The few shapes of command that the store sends.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use metrifold_redis::{Client, ClientSettings, Words};
use metrifold_redis::{RECORD_VALUES, RECORD_VALUES_SEQ, ScriptCall, keys::STAGED};
use tracing::{Instrument, Level, Span};

use super::{RedisSettings, error::of_redis};
use crate::StoreError;

/// Commands in one pipeline: pushes get their turn between two of them.
pub(super) const BATCH: usize = 64;
/// Attempts to read a record together with the values beside it.
const ATTEMPTS: usize = 10;
/// How much longer than other commands those may take that write, or read at once, a whole shard.
const WHOLE_SHARD: u32 = 10;

pub(super) struct Connection {
    client: Client,
    limit: Duration,
}

impl Connection {
    /// Connects when the first command is sent.
    pub(super) fn new(settings: &RedisSettings) -> Result<Self, StoreError> {
        let client = Client::new(ClientSettings {
            connect_timeout: settings.connect_timeout,
            reconnect_min: settings.reconnect_min,
            reconnect_max: settings.reconnect_max,
            ..ClientSettings::new(settings.address.clone())
        });
        let client = client.map_err(of_redis)?;
        Ok(Connection { client, limit: settings.command_timeout })
    }

    /// Runs a script.
    pub(super) async fn run(&self, call: &ScriptCall) -> Result<Vec<Bytes>, StoreError> {
        let span = span("EVALSHA", call.keys().first().map_or("", String::as_str));
        self.client.script(call, self.limit).instrument(span).await.map_err(of_redis)
    }

    /// Runs a script that may take long.
    pub(super) async fn run_long(&self, call: &ScriptCall) -> Result<Vec<Bytes>, StoreError> {
        self.client.script(call, self.limit * WHOLE_SHARD).await.map_err(of_redis)
    }

    /// `HMGET` of the same fields of many keys of one slot, in batches; missing fields are empty.
    pub(super) async fn hmget_each(
        &self,
        keys: &[(String, Vec<&'static str>)],
    ) -> Result<Vec<Vec<Bytes>>, StoreError> {
        let mut replies = Vec::with_capacity(keys.len());
        for batch in keys.chunks(BATCH) {
            let commands = batch.iter().map(|(key, fields)| {
                words(["HMGET", key.as_str()].into_iter().chain(fields.iter().copied()))
            });
            let key = batch.first().map_or("", |(key, _)| key);
            replies
                .extend(self.client.commands(key, commands.collect(), self.limit).await.map_err(of_redis)?);
        }
        Ok(replies)
    }

    /// `HMGET` of all fields of a record whose values are kept beside it, with the values in their place.
    pub(super) async fn with_values(
        &self,
        (record, fields): &(String, Vec<&'static str>),
        beside: &str,
    ) -> Result<Vec<Bytes>, StoreError> {
        let whole = words(["HMGET", record.as_str()].into_iter().chain(fields.iter().copied()));
        let again = words(["HMGET", record.as_str(), "vs", "v"]);
        for _ in 0..ATTEMPTS {
            let commands = vec![whole.clone(), words(["GET", beside]), again.clone()];
            let replies = self.client.commands(record, commands, self.limit).await.map_err(of_redis)?;
            let [mut fields, values, again] = <[Vec<Bytes>; 3]>::try_from(replies).unwrap_or_default();
            // A push in between has brought other values; a restore has written them into the record.
            let read = [fields.get(RECORD_VALUES_SEQ), fields.get(RECORD_VALUES)];
            if read != [again.first(), again.get(1)] {
                continue;
            }
            if fields.get(RECORD_VALUES).is_some_and(|field| field == STAGED) {
                let values = values.into_iter().next().unwrap_or_default();
                if values.is_empty() {
                    return Err(StoreError::Corrupt(format!("the values of {record} are not at {beside}")));
                }
                fields[RECORD_VALUES] = values;
            }
            return Ok(fields);
        }
        Err(StoreError::Unavailable(format!("{record} changed at each of {ATTEMPTS} attempts to read it")))
    }

    /// `HMGET` of many fields of one key, in batches; missing fields are empty.
    pub(super) async fn hmget(&self, key: &str, fields: &[String]) -> Result<Vec<Bytes>, StoreError> {
        let mut replies = Vec::with_capacity(fields.len());
        for batch in fields.chunks(BATCH) {
            let command = ["HMGET", key].into_iter().chain(batch.iter().map(String::as_str));
            replies.extend(self.command(key, command).await?);
        }
        Ok(replies)
    }

    pub(super) async fn hgetall(&self, key: &str) -> Result<HashMap<String, Bytes>, StoreError> {
        let reply = self.command(key, ["HGETALL", key]).await?;
        let (pairs, _) = reply.as_chunks::<2>();
        let pair = |[name, value]: &[Bytes; 2]| (String::from_utf8_lossy(name).into_owned(), value.clone());
        Ok(pairs.iter().map(pair).collect())
    }

    /// Sets a field that is to stay for ever if it is not set yet; returns what it then holds.
    pub(super) async fn set_once(&self, key: &str, field: &str, text: &str) -> Result<String, StoreError> {
        // A Redis that is full refuses the attempt too, where it would change nothing.
        let held = self.field(key, field).await?;
        if !held.is_empty() {
            return Ok(held);
        }
        self.command(key, ["HSETNX", key, field, text]).await?;
        self.field(key, field).await
    }

    async fn field(&self, key: &str, field: &str) -> Result<String, StoreError> {
        let held = self.command(key, ["HGET", key, field]).await?;
        Ok(held.first().map(|held| String::from_utf8_lossy(held).into_owned()).unwrap_or_default())
    }

    /// Deletes a field that is never set: succeeds if this key may be written.
    pub(super) async fn probe(&self, key: &str) -> Result<(), StoreError> {
        self.command(key, ["HDEL", key, "probe"]).await.map(drop)
    }

    pub(super) async fn add_member(&self, key: &str, member: &str) -> Result<(), StoreError> {
        self.command(key, ["SADD", key, member]).await.map(drop)
    }

    pub(super) async fn remove_member(&self, key: &str, member: &str) -> Result<(), StoreError> {
        self.command(key, ["SREM", key, member]).await.map(drop)
    }

    /// Deletes a key, its memory later.
    pub(super) async fn unlink(&self, key: &str) -> Result<(), StoreError> {
        self.command(key, ["UNLINK", key]).await.map(drop)
    }

    /// What each of many keys of one slot costs in memory, in bytes; 0 for one that does not exist.
    pub(super) async fn memory_usage(&self, keys: &[String]) -> Result<Vec<u64>, StoreError> {
        let mut bytes = Vec::with_capacity(keys.len());
        for batch in keys.chunks(BATCH) {
            let commands = batch.iter().map(|key| words(["MEMORY", "USAGE", key.as_str(), "SAMPLES", "0"]));
            let key = batch.first().map_or("", String::as_str);
            for reply in self.client.commands(key, commands.collect(), self.limit).await.map_err(of_redis)? {
                let text = reply.first().map(|word| String::from_utf8_lossy(word).into_owned());
                bytes.push(text.and_then(|text| text.parse().ok()).unwrap_or(0));
            }
        }
        Ok(bytes)
    }

    pub(super) async fn members(&self, key: &str) -> Result<Vec<String>, StoreError> {
        let members = self.command(key, ["SMEMBERS", key]).await?;
        Ok(members.iter().map(|member| String::from_utf8_lossy(member).into_owned()).collect())
    }

    /// What each of the servers that hold these keys says of itself, by name.
    pub(super) async fn info(&self, keys: &[String]) -> Result<Vec<HashMap<String, String>>, StoreError> {
        self.client.info(keys, self.limit).await.map_err(of_redis)
    }

    async fn command(
        &self,
        key: &str,
        command: impl IntoIterator<Item = &str>,
    ) -> Result<Vec<Bytes>, StoreError> {
        let command = words(command);
        let span = span(command.first().and_then(|name| std::str::from_utf8(name).ok()).unwrap_or(""), key);
        self.client.command(key, command, self.limit).instrument(span).await.map_err(of_redis)
    }
}

/// The span of one round trip, if it is part of a trace: what a server does by itself every second is none. Its names
/// stand in `metrifold_telemetry::names` too, on which this crate does not depend.
fn span(command: &str, key: &str) -> Span {
    const TARGET: &str = "metrifold::span";
    if !tracing::span_enabled!(target: TARGET, Level::DEBUG) || Span::current().is_none() {
        return Span::none();
    }
    tracing::debug_span!(
        target: TARGET,
        "redis",
        otel.kind = "client",
        otel.name = command,
        db.system.name = "redis",
        db.operation.name = command,
        db.query.keys = key
    )
}

fn words<'a>(command: impl IntoIterator<Item = &'a str>) -> Words {
    command.into_iter().map(|word| Bytes::copy_from_slice(word.as_bytes())).collect()
}
