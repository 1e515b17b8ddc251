//! Pushes straight to Redis, by the scripts and codecs of `metrifold_redis`.

mod connection;

use fred::types::config::Config;
use metrifold_model::Namespace;
use metrifold_redis::{PushScript, PushSettings, ReplyError, is_noscript, keys, parse_push_reply};
use metrifold_session::{Answer, Push};

use self::connection::{Connection, Refused};
use crate::{TargetError, drive::Transport};

/// One connection to one server. After any error it is made anew by the next attempt: what a pusher must not do, send to a
/// server that was restarted or replaced before the shard was checked, the script cache of that server prevents.
pub(crate) struct Redis {
    config: Config,
    namespace: Namespace,
    connection: Option<Connection>,
    /// How many shards the namespace has, once a server role has said so.
    shards: Option<u16>,
    /// The script that was used last, under the number of shards and the shard: a source stays in its shard.
    script: Option<((u16, u16), PushScript)>,
}

impl Redis {
    /// To `redis://[user:password@]host[:port][/database]`.
    pub(crate) fn new(target: &crate::Target, url: &str, namespace: &Namespace) -> Result<Self, TargetError> {
        let config = Config::from_url(url)
            .map_err(|error| TargetError::Invalid { given: target.to_string(), reason: error.to_string() })?;
        Ok(Redis { config, namespace: namespace.clone(), connection: None, shards: None, script: None })
    }

    async fn push(&mut self, connection: &Connection, push: &Push) -> Result<Answer, Refused> {
        let Some(shards) = self.shards(connection).await? else { return Ok(Answer::Sealed) };
        let call = self.script(shards, push).call(push);
        let reply = match connection.send(call.evalsha()).await {
            Err(refused) if is_noscript(&refused.text) => connection.send(call.eval()).await?,
            reply => reply?,
        };
        match parse_push_reply(&reply) {
            // Wiped, or empty after a restart: whoever opens it next may choose another number, and must find us.
            Ok(Answer::Sealed) | Err(ReplyError::Shards { .. }) => {
                self.shards = None;
                Ok(Answer::Sealed)
            }
            answer => answer.map_err(Refused::new),
        }
    }

    /// How many shards there are; `None` if no server role has opened the namespace yet.
    async fn shards(&mut self, connection: &Connection) -> Result<Option<u16>, Refused> {
        if self.shards.is_none() {
            let read = vec!["HGET".into(), keys::meta(&self.namespace).into(), keys::META_SHARDS.into()];
            let reply = connection.send(read).await?;
            self.shards = reply.first().and_then(|word| std::str::from_utf8(word).ok()?.parse().ok());
            if self.shards.is_none() {
                let announce = vec!["SADD".into(), keys::NAMESPACES.into(), self.namespace.as_str().into()];
                // Users without a right to the index are found by the servers' settings.
                let _ = connection.send(announce).await;
            }
        }
        Ok(self.shards)
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
        // Taken out, so that an attempt that is cancelled leaves none behind.
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.config).await.map_err(|error| error.to_string())?,
        };
        let answer = self.push(&connection, push).await.map_err(|refused| refused.text)?;
        self.connection = Some(connection);
        Ok(answer)
    }

    fn reset(&mut self) {
        self.connection = None;
    }
}
