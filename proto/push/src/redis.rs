//! Pushes straight to Redis, by the scripts and codecs of `metrifold_redis`.

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use metrifold_model::Namespace;
use metrifold_redis::{
    Client, ClientSettings, Judgement, PushScript, PushSettings, RedisAddress, RedisError, ReplyError, keys,
    parse_push_reply,
};
use metrifold_session::{Answer, Push};
use parking_lot::Mutex;

use crate::{
    TargetError, Transport, Unanswered,
    attempt::{self, CONNECT_TIMEOUT},
};

/// Longest pause after a failed attempt to connect: there are pauses between pushes too.
const RECONNECT_MAX: Duration = Duration::from_millis(250);

/// Pushes to whichever Redis process holds a source's shard: one server, behind Sentinel, or a Cluster.
///
/// Commands are limited in time, and a connection on which one was not answered is given up. Making a connection has
/// limits of its own, step by step: it may take several round trips, to sentinels that do not answer too, and an attempt
/// that ended it half-way would begin it anew for ever.
pub struct RedisTransport {
    name: String,
    client: Client,
    /// How many shards a namespace has, once a server role has said so.
    shards: Mutex<HashMap<Namespace, u16>>,
}

impl RedisTransport {
    /// Connects at the first push.
    ///
    /// # Errors
    /// If the files that the address names cannot be used.
    pub fn new(address: &RedisAddress) -> Result<Self, TargetError> {
        let settings = ClientSettings {
            connect_timeout: CONNECT_TIMEOUT,
            reconnect_max: RECONNECT_MAX,
            ..ClientSettings::new(address.clone())
        };
        let client = Client::new(settings).map_err(|error| TargetError::Invalid {
            given: address.to_string(),
            reason: error.to_string(),
        })?;
        Ok(RedisTransport { name: address.to_string(), client, shards: Mutex::default() })
    }

    async fn send(&self, namespace: &Namespace, push: &Push) -> Result<Answer, Unanswered> {
        let limit = attempt::limit(push);
        let shards = self.shards(namespace, limit).await.map_err(|error| Unanswered::because(&error))?;
        let Some(shards) = shards else { return Ok(Answer::Sealed) };
        let shard = keys::shard_of(push.incarnation, shards);
        let script = PushScript::new(namespace, shard, PushSettings::new(shards));
        // Its own source made it, and sends nothing else.
        let call = script.call(push, Judgement::Sound);
        let reply = self.client.script(&call, limit).await;
        match parse_push_reply(&reply.map_err(|error| Unanswered::because(&error))?) {
            // Wiped, or empty after a restart: whoever opens it next may choose another number, and must find us.
            Ok(Answer::Sealed) | Err(ReplyError::Shards { .. }) => {
                self.shards.lock().remove(namespace);
                Ok(Answer::Sealed)
            }
            answer => answer.map_err(|error| Unanswered::because(&error)),
        }
    }

    /// How many shards there are; `None` if no server role has opened the namespace yet.
    async fn shards(&self, namespace: &Namespace, limit: Duration) -> Result<Option<u16>, RedisError> {
        let known = self.shards.lock().get(namespace).copied();
        if known.is_some() {
            return Ok(known);
        }
        let meta = keys::meta(namespace);
        let reply = self.command(&meta, ["HGET", &meta, keys::META_SHARDS], limit).await?;
        let shards = reply.first().and_then(|word| std::str::from_utf8(word).ok()?.parse().ok());
        match shards {
            Some(shards) => drop(self.shards.lock().insert(namespace.clone(), shards)),
            // Users without a right to the index are found by the servers' settings.
            None => {
                let words = ["SADD", keys::NAMESPACES, namespace.as_str()];
                let _ = self.command(keys::NAMESPACES, words, limit).await;
            }
        }
        Ok(shards)
    }

    async fn command(&self, key: &str, words: [&str; 3], limit: Duration) -> Result<Vec<Bytes>, RedisError> {
        let words = words.map(|word| Bytes::copy_from_slice(word.as_bytes())).to_vec();
        self.client.command(key, words, limit).await
    }
}

#[async_trait]
impl Transport for RedisTransport {
    fn name(&self) -> &str {
        &self.name
    }

    async fn push(&self, namespace: &Namespace, push: &Push) -> Result<Answer, Unanswered> {
        self.send(namespace, push).await
    }
}
