//! Commands to whichever process holds a key.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use fred::{error::Error, prelude::Value, util::redis_keyslot};

use crate::{
    ClientSettings, RedisError, Reply, RunId, ScriptCall, Words,
    address::{Endpoint, Topology},
    connection::{Cluster, ConnectOptions, Master, Reconnect, Redirection, flat, sentinel, tls},
    is_noscript,
};

/// Redirections that one command follows: a slot that moves twice in the time of one command is not seen in practice.
const REDIRECTIONS_MAX: usize = 4;

/// Sends commands to the Redis process that holds their keys, over connections that it makes when they are needed.
///
/// A command is sent once, over one connection, to one process. A connection that fails fails all its commands, and the
/// next command makes a new one, after a pause that grows with every failure in a row. Whether to repeat a command is
/// up to the caller.
pub struct Client {
    route: Route,
    options: ConnectOptions,
}

enum Route {
    Server { endpoint: Endpoint, connection: Reconnect },
    Sentinel { sentinels: Vec<Endpoint>, master: String, login: crate::address::Login, connection: Reconnect },
    Cluster(Cluster),
}

impl Client {
    /// Reads the files that the address names; connects later.
    ///
    /// # Errors
    /// [`RedisError::Invalid`] if the settings cannot be used.
    pub fn new(settings: ClientSettings) -> Result<Client, RedisError> {
        let address = settings.address.parts.clone();
        let tls = address.tls.as_ref().map(tls::config).transpose()?;
        let settings = Arc::new(settings);
        let reconnect = || Reconnect::new(&settings);
        let (login, database) = (address.login.clone(), address.database);
        let options = ConnectOptions { login, database, tls, settings: settings.clone() };
        let route = match address.topology.clone() {
            Topology::Server(endpoint) => Route::Server { endpoint, connection: reconnect() },
            Topology::Sentinel { sentinels, master, login } => {
                Route::Sentinel { sentinels, master, login, connection: reconnect() }
            }
            Topology::Cluster { seeds } => Route::Cluster(Cluster::new(seeds, options.clone())),
        };
        Ok(Client { route, options })
    }

    /// Runs a script. The script compares the run id of the process that it runs on with that of the process which the
    /// shard was opened on.
    ///
    /// # Errors
    /// See [`RedisError`]; after [`RedisError::Unavailable`] the script may have run, or may run yet.
    pub async fn script(&self, call: &ScriptCall, limit: Duration) -> Result<Reply, RedisError> {
        let key = call.keys().first().map(String::as_str).unwrap_or_default();
        let with_stage = |script: Words| call.stage().into_iter().chain([script]).collect();
        let known = self.send(key, &|run| with_stage(call.evalsha(run)), limit).await?;
        let replies = match known.last() {
            Some(Err(cause)) if is_noscript(cause.details()) => {
                self.send(key, &|run| with_stage(call.eval(run)), limit).await?
            }
            _ => known,
        };
        // The first error is that of the whole; else the script's own reply comes last.
        let replies: Result<Vec<_>, _> = replies.into_iter().collect();
        let reply = replies.map_err(|cause| RedisError::of(&cause))?.pop();
        Ok(flat(reply.unwrap_or(Value::Null)))
    }

    /// Sends commands whose keys are all in the slot of `key`; the first error is that of the whole.
    ///
    /// # Errors
    /// See [`RedisError`]; after [`RedisError::Unavailable`] any of the commands may have been carried out.
    pub async fn commands(
        &self,
        key: &str,
        commands: Vec<Words>,
        limit: Duration,
    ) -> Result<Vec<Reply>, RedisError> {
        let replies = self.send(key, &|_| commands.clone(), limit).await?;
        replies.into_iter().map(|reply| reply.map(flat).map_err(|cause| RedisError::of(&cause))).collect()
    }

    /// Sends one command.
    ///
    /// # Errors
    /// See [`RedisError`]; after [`RedisError::Unavailable`] the command may have been carried out.
    pub async fn command(&self, key: &str, words: Words, limit: Duration) -> Result<Reply, RedisError> {
        Ok(self.commands(key, vec![words], limit).await?.pop().unwrap_or_default())
    }

    /// What each of the processes that hold these keys says of itself, by name.
    ///
    /// # Errors
    /// See [`RedisError`].
    pub async fn info(
        &self,
        keys: &[String],
        limit: Duration,
    ) -> Result<Vec<HashMap<String, String>>, RedisError> {
        let mut masters = BTreeMap::new();
        for key in keys {
            let (endpoint, master) = self.master(redis_keyslot(key.as_bytes())).await?;
            masters.insert(endpoint, master);
        }
        let mut said = Vec::with_capacity(masters.len());
        for (endpoint, master) in masters {
            let info = master.connection.info(limit).await;
            said.push(info.map_err(|cause| RedisError::of(&cause).at(&endpoint))?);
        }
        Ok(said)
    }

    async fn master(&self, slot: u16) -> Result<(Endpoint, Arc<Master>), RedisError> {
        match &self.route {
            Route::Server { endpoint, connection } => {
                let master = connection.master(async || Master::open(endpoint, &self.options).await).await?;
                Ok((endpoint.clone(), master))
            }
            Route::Sentinel { sentinels, master: name, login, connection } => {
                let open = async || {
                    let ask = || sentinel::find(sentinels, name, login, &self.options);
                    let endpoint = ask().await?;
                    let master = Master::open(&endpoint, &self.options).await?;
                    // A master that hung while another was promoted in its place answers when it wakes up, and would
                    // be written to until the sentinels demote it.
                    match ask().await? {
                        now if now == endpoint => Ok(master),
                        _ => Err(RedisError::Unavailable(format!(
                            "{endpoint} is no longer the master {name:?}"
                        ))),
                    }
                };
                let master = connection.master(open).await?;
                Ok((sentinels[0].clone(), master))
            }
            Route::Cluster(cluster) => {
                let endpoint = cluster.endpoint(slot).await?;
                let master = cluster.master(&endpoint).await?;
                Ok((endpoint, master))
            }
        }
    }

    /// Sends what `commands` makes of the run id of the process that they go to, and follows redirections.
    async fn send(
        &self,
        key: &str,
        commands: &(dyn Fn(&RunId) -> Vec<Words> + Sync),
        limit: Duration,
    ) -> Result<Vec<Result<Value, Error>>, RedisError> {
        let slot = redis_keyslot(key.as_bytes());
        let (mut endpoint, mut master) = self.master(slot).await?;
        let mut replies = master.connection.send(&commands(&master.run), limit).await;
        let Route::Cluster(cluster) = &self.route else { return Ok(replies) };
        for _ in 0..REDIRECTIONS_MAX {
            // Of a batch, some keys may have moved already: only these are sent on, one by one.
            let redirected = |reply: &Result<Value, Error>| {
                reply.as_ref().err().and_then(|error| Redirection::read(error.details(), &endpoint))
            };
            let Some((place, redirection)) =
                replies.iter().enumerate().find_map(|(place, reply)| Some((place, redirected(reply)?)))
            else {
                break;
            };
            match redirection {
                Redirection::Moved(slot, to) => {
                    cluster.moved(slot, to.clone());
                    master = cluster.master(&to).await?;
                    endpoint = to;
                    replies = master.connection.send(&commands(&master.run), limit).await;
                }
                Redirection::Ask(to) => {
                    let other = cluster.master(&to).await?;
                    let Some(command) = commands(&other.run).into_iter().nth(place) else { break };
                    let asking = vec![Bytes::from_static(b"ASKING")];
                    if let Some(reply) = other.connection.send(&[asking, command], limit).await.pop() {
                        replies[place] = reply;
                    }
                }
            }
        }
        if replies
            .iter()
            .any(|reply| reply.as_ref().is_err_and(|error| error.details().starts_with("CLUSTERDOWN")))
        {
            cluster.doubt();
        }
        Ok(replies)
    }
}
