//! Pushes straight to Redis, by the scripts and codecs of `metrifold_redis`.

use std::time::Duration;

use bytes::Bytes;
use metrifold_model::Namespace;
use metrifold_redis::{Client, ClientSettings, RedisAddress, RedisError};
use metrifold_redis::{PushScript, PushSettings, ReplyError, keys, parse_push_reply};
use metrifold_session::{Answer, Push};

use super::CONNECT_TIMEOUT;
use crate::{TargetError, drive::Transport};

/// Longest wait for one command; the driver's is shorter, except for very large pushes.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest pause after a failed attempt to connect: the driver pauses between pushes too.
const RECONNECT_MAX: Duration = Duration::from_millis(250);

/// Pushes to whichever Redis process holds the shard.
pub(crate) struct Redis {
    client: Client,
    namespace: Namespace,
    /// How many shards the namespace has, once a server role has said so.
    shards: Option<u16>,
    /// The script that was used last, under the number of shards and the shard: a source stays in its shard.
    script: Option<((u16, u16), PushScript)>,
}

impl Redis {
    /// To one server, behind Sentinel, or to a Cluster.
    pub(crate) fn new(address: &RedisAddress, namespace: &Namespace) -> Result<Self, TargetError> {
        let settings = ClientSettings {
            connect_timeout: CONNECT_TIMEOUT,
            reconnect_max: RECONNECT_MAX,
            ..ClientSettings::new(address.clone())
        };
        let invalid = |error: RedisError| TargetError::Invalid {
            given: address.to_string(),
            reason: error.to_string(),
        };
        let client = Client::new(settings).map_err(invalid)?;
        Ok(Redis { client, namespace: namespace.clone(), shards: None, script: None })
    }

    async fn push(&mut self, push: &Push) -> Result<Answer, String> {
        let Some(shards) = self.shards().await.map_err(|error| error.to_string())? else {
            return Ok(Answer::Sealed);
        };
        let call = self.script(shards, push).call(push);
        let reply = self.client.script(&call, COMMAND_TIMEOUT).await.map_err(|error| error.to_string())?;
        match parse_push_reply(&reply) {
            // Wiped, or empty after a restart: whoever opens it next may choose another number, and must find us.
            Ok(Answer::Sealed) | Err(ReplyError::Shards { .. }) => {
                self.shards = None;
                Ok(Answer::Sealed)
            }
            answer => answer.map_err(|error| error.to_string()),
        }
    }

    /// How many shards there are; `None` if no server role has opened the namespace yet.
    async fn shards(&mut self) -> Result<Option<u16>, RedisError> {
        if self.shards.is_none() {
            let meta = keys::meta(&self.namespace);
            let reply = self.command(&meta, ["HGET", &meta, keys::META_SHARDS]).await?;
            self.shards = reply.first().and_then(|word| std::str::from_utf8(word).ok()?.parse().ok());
            if self.shards.is_none() {
                // Users without a right to the index are found by the servers' settings.
                let _ =
                    self.command(keys::NAMESPACES, ["SADD", keys::NAMESPACES, self.namespace.as_str()]).await;
            }
        }
        Ok(self.shards)
    }

    async fn command(&self, key: &str, words: [&str; 3]) -> Result<Vec<Bytes>, RedisError> {
        let words = words.map(|word| Bytes::copy_from_slice(word.as_bytes())).to_vec();
        self.client.command(key, words, COMMAND_TIMEOUT).await
    }

    fn script(&mut self, shards: u16, push: &Push) -> &PushScript {
        let shard = keys::shard_of(push.incarnation, shards);
        let place = (shards, shard);
        let namespace = &self.namespace;
        let make = || (place, PushScript::new(namespace, shard, PushSettings::new(shards)));
        let made = self.script.take().filter(|(made_for, _)| *made_for == place);
        &self.script.insert(made.unwrap_or_else(make)).1
    }
}

impl Transport for Redis {
    async fn send(&mut self, push: &Push) -> Result<Answer, String> {
        self.push(push).await
    }

    fn reset(&mut self) {
        self.client.reset();
    }
}
