//! Commands to whichever process holds a key.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use fred::{error::Error, prelude::Value, util::redis_keyslot};
use metrifold_redis::{RunId, ScriptCall, is_noscript};

use crate::{
    DialError, DialSettings, Reply, Words,
    address::{Door, Place},
    cluster::Cluster,
    connection::{Manner, Master, flat},
    line::Line,
    sentinel,
    slots::Redirection,
    tls,
};

/// Redirections that one command follows: a slot that moves twice in the time of one command is not seen in practice.
const REDIRECTIONS_MAX: usize = 4;

/// Sends commands to the Redis process that holds their keys, over connections that it makes when they are needed.
///
/// A command is sent once, over one connection, to one process. A connection that fails fails all its commands, and the
/// next command makes a new one, after a pause that grows with every failure in a row. Whether to repeat a command is
/// up to the caller.
pub struct Dialer {
    route: Route,
    manner: Manner,
}

enum Route {
    Server { door: Door, line: Line },
    Sentinel { sentinels: Vec<Door>, master: String, login: crate::address::Login, line: Line },
    Cluster(Cluster),
}

impl Dialer {
    /// Reads the files that the address names; connects later.
    ///
    /// # Errors
    /// [`DialError::Invalid`] if the settings cannot be used.
    pub fn new(settings: DialSettings) -> Result<Dialer, DialError> {
        let address = settings.address.parts.clone();
        let tls = address.tls.as_ref().map(tls::config).transpose()?;
        let settings = Arc::new(settings);
        let line = || Line::new(&settings);
        let (login, database) = (address.login.clone(), address.database);
        let manner = Manner { login, database, tls, settings: settings.clone() };
        let route = match address.place.clone() {
            Place::Server(door) => Route::Server { door, line: line() },
            Place::Sentinel { sentinels, master, login } => {
                Route::Sentinel { sentinels, master, login, line: line() }
            }
            Place::Cluster { seeds } => Route::Cluster(Cluster::new(seeds, manner.clone())),
        };
        Ok(Dialer { route, manner })
    }

    /// Runs a script. The script compares the run id of the process that it runs on with that of the process which the
    /// shard was opened on.
    ///
    /// # Errors
    /// See [`DialError`]; after [`DialError::Unavailable`] the script may have run, or may run yet.
    pub async fn script(&self, call: &ScriptCall, limit: Duration) -> Result<Reply, DialError> {
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
        let reply = replies.map_err(|cause| DialError::of(&cause))?.pop();
        Ok(flat(reply.unwrap_or(Value::Null)))
    }

    /// Sends commands whose keys are all in the slot of `key`; the first error is that of the whole.
    ///
    /// # Errors
    /// See [`DialError`]; after [`DialError::Unavailable`] any of the commands may have been carried out.
    pub async fn commands(
        &self,
        key: &str,
        commands: Vec<Words>,
        limit: Duration,
    ) -> Result<Vec<Reply>, DialError> {
        let replies = self.send(key, &|_| commands.clone(), limit).await?;
        replies.into_iter().map(|reply| reply.map(flat).map_err(|cause| DialError::of(&cause))).collect()
    }

    /// Sends one command.
    ///
    /// # Errors
    /// See [`DialError`]; after [`DialError::Unavailable`] the command may have been carried out.
    pub async fn command(&self, key: &str, words: Words, limit: Duration) -> Result<Reply, DialError> {
        Ok(self.commands(key, vec![words], limit).await?.pop().unwrap_or_default())
    }

    /// What each of the processes that hold these keys says of itself, by name.
    ///
    /// # Errors
    /// See [`DialError`].
    pub async fn info(
        &self,
        keys: &[String],
        limit: Duration,
    ) -> Result<Vec<HashMap<String, String>>, DialError> {
        let mut masters = BTreeMap::new();
        for key in keys {
            let (door, master) = self.master(redis_keyslot(key.as_bytes())).await?;
            masters.insert(door, master);
        }
        let mut said = Vec::with_capacity(masters.len());
        for (door, master) in masters {
            let info = master.connection.info(limit).await;
            said.push(info.map_err(|cause| DialError::of(&cause).at(&door))?);
        }
        Ok(said)
    }

    /// Gives up all connections; the next command makes new ones.
    pub fn reset(&mut self) {
        match &mut self.route {
            Route::Server { line, .. } | Route::Sentinel { line, .. } => line.reset(),
            Route::Cluster(cluster) => cluster.reset(),
        }
    }

    async fn master(&self, slot: u16) -> Result<(Door, Arc<Master>), DialError> {
        match &self.route {
            Route::Server { door, line } => {
                let master = line.master(async || Master::open(door, &self.manner).await).await?;
                Ok((door.clone(), master))
            }
            Route::Sentinel { sentinels, master: name, login, line } => {
                let open = async || {
                    let ask = || sentinel::find(sentinels, name, login, &self.manner);
                    let door = ask().await?;
                    let master = Master::open(&door, &self.manner).await?;
                    // A master that hung while another was promoted in its place answers when it wakes up, and would
                    // be written to until the sentinels demote it.
                    match ask().await? {
                        now if now == door => Ok(master),
                        _ => Err(DialError::Unavailable(format!("{door} is no longer the master {name:?}"))),
                    }
                };
                let master = line.master(open).await?;
                Ok((sentinels[0].clone(), master))
            }
            Route::Cluster(cluster) => {
                let door = cluster.door(slot).await?;
                let master = cluster.master(&door).await?;
                Ok((door, master))
            }
        }
    }

    /// Sends what `commands` makes of the run id of the process that they go to, and follows redirections.
    async fn send(
        &self,
        key: &str,
        commands: &(dyn Fn(&RunId) -> Vec<Words> + Sync),
        limit: Duration,
    ) -> Result<Vec<Result<Value, Error>>, DialError> {
        let slot = redis_keyslot(key.as_bytes());
        let (mut door, mut master) = self.master(slot).await?;
        let mut replies = master.connection.send(&commands(&master.run), limit).await;
        let Route::Cluster(cluster) = &self.route else { return Ok(replies) };
        for _ in 0..REDIRECTIONS_MAX {
            // Of a batch, some keys may have moved already: only these are sent on, one by one.
            let redirected = |reply: &Result<Value, Error>| {
                reply.as_ref().err().and_then(|error| Redirection::read(error.details(), &door))
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
                    door = to;
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
