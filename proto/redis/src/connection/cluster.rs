//! The connections to the masters of a Cluster, each with a life of its own: one that is down, or hangs, holds up only
//! the slots that it serves.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use dashmap::DashMap;
use fred::prelude::Value;
use futures::{StreamExt, stream::FuturesUnordered};
use parking_lot::RwLock;
use tokio::sync::Mutex;

use super::{
    open::{ConnectOptions, Connection, Master},
    reconnect::Reconnect,
    slots::SlotMap,
};
use crate::{RedisError, address::Endpoint};

pub(crate) struct Cluster {
    seeds: Vec<Endpoint>,
    options: ConnectOptions,
    map: RwLock<Known>,
    masters: DashMap<Endpoint, Arc<Reconnect>>,
    /// Held while the map is read, with the time of the last attempt.
    reading: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Known {
    map: Option<SlotMap>,
    /// A connection failed or a redirection came since the map was read.
    is_doubtful: bool,
}

impl Cluster {
    pub(crate) fn new(seeds: Vec<Endpoint>, options: ConnectOptions) -> Self {
        Cluster { seeds, options, map: RwLock::default(), masters: DashMap::new(), reading: Mutex::default() }
    }

    /// The master of a slot.
    pub(crate) async fn endpoint(&self, slot: u16) -> Result<Endpoint, RedisError> {
        let is_sure = |known: &Known| !known.is_doubtful && known.map.is_some();
        if !is_sure(&self.map.read()) {
            self.refresh().await?;
        }
        let known = self.map.read();
        let endpoint = known.map.as_ref().and_then(|map| map.endpoint(slot)).cloned();
        endpoint.ok_or_else(|| RedisError::Unavailable(format!("CLUSTERDOWN no node serves slot {slot}")))
    }

    /// A connection to a master.
    pub(crate) async fn master(&self, endpoint: &Endpoint) -> Result<Arc<Master>, RedisError> {
        let connection = match self.masters.get(endpoint) {
            Some(connection) => connection.clone(),
            None => {
                let make = || Arc::new(Reconnect::new(&self.options.settings));
                self.masters.entry(endpoint.clone()).or_insert_with(make).clone()
            }
        };
        let master = connection.master(async || Master::open(endpoint, &self.options).await).await;
        if master.is_err() {
            self.doubt();
        }
        master
    }

    /// Reads the map again before it is used next.
    pub(crate) fn doubt(&self) {
        self.map.write().is_doubtful = true;
    }

    /// Remembers a redirection.
    pub(crate) fn moved(&self, slot: u16, endpoint: Endpoint) {
        let mut known = self.map.write();
        // Where one slot moved, others did too.
        known.is_doubtful = true;
        if let Some(map) = &mut known.map {
            map.moved(slot, endpoint);
        }
    }

    /// Reads the map from whichever node answers first. A map that is doubtful serves on while none can be read, and
    /// for a moment after each attempt.
    async fn refresh(&self) -> Result<(), RedisError> {
        let mut last = self.reading.lock().await;
        let is_recent = last.is_some_and(|last| last.elapsed() < self.options.settings.reconnect_min);
        let has_map = self.map.read().map.is_some();
        if has_map && (is_recent || !self.map.read().is_doubtful) {
            return Ok(());
        }
        let read = self.read().await;
        *last = Some(Instant::now());
        match read {
            Ok(map) => {
                self.masters.retain(|endpoint, _| map.endpoints().contains(endpoint));
                *self.map.write() = Known { map: Some(map), is_doubtful: false };
                Ok(())
            }
            Err(_) if has_map => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn read(&self) -> Result<SlotMap, RedisError> {
        let mut endpoints = self.map.read().map.as_ref().map(SlotMap::endpoints).unwrap_or_default();
        endpoints
            .extend(self.seeds.iter().filter(|seed| !endpoints.contains(seed)).cloned().collect::<Vec<_>>());
        let mut answers: FuturesUnordered<_> = endpoints.iter().map(|endpoint| self.ask(endpoint)).collect();
        let mut failures = Vec::new();
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(map) => return Ok(map),
                Err(error) => failures.push(error),
            }
        }
        // A refusal (a wrong password) says more than silence.
        let refused = failures.iter().find(|error| matches!(error, RedisError::Refused(_))).cloned();
        let words: Vec<_> = failures.iter().map(ToString::to_string).collect();
        let silent =
            || RedisError::Unavailable(format!("no node of the Cluster answers: {}", words.join("; ")));
        Err(refused.unwrap_or_else(silent))
    }

    async fn ask(&self, endpoint: &Endpoint) -> Result<SlotMap, RedisError> {
        let connection = Connection::open(endpoint, &self.options).await?;
        let question = vec![Bytes::from_static(b"CLUSTER"), Bytes::from_static(b"SLOTS")];
        let mut answers = connection.send(&[question], self.options.settings.connect_timeout).await;
        let answer = answers.pop().unwrap_or(Ok(Value::Null));
        let answer = answer.map_err(|cause| RedisError::of(&cause).at(endpoint))?;
        SlotMap::read(answer, endpoint)
            .ok_or_else(|| RedisError::Unavailable(format!("{endpoint}: knows no node that serves a slot")))
    }
}
