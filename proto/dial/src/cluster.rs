//! The connections to the masters of a Cluster, each with a life of its own: one that is down, or hangs, holds up only
//! the slots that it serves.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use dashmap::DashMap;
use fred::prelude::Value;
use futures::{StreamExt, stream::FuturesUnordered};
use parking_lot::RwLock;
use tokio::sync::Mutex;

use crate::{
    DialError,
    address::Door,
    connection::{Connection, Manner, Master},
    line::Line,
    slots::SlotMap,
};

pub(crate) struct Cluster {
    seeds: Vec<Door>,
    manner: Manner,
    map: RwLock<Known>,
    lines: DashMap<Door, Arc<Line>>,
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
    pub(crate) fn new(seeds: Vec<Door>, manner: Manner) -> Self {
        Cluster { seeds, manner, map: RwLock::default(), lines: DashMap::new(), reading: Mutex::default() }
    }

    /// The master of a slot.
    pub(crate) async fn door(&self, slot: u16) -> Result<Door, DialError> {
        let is_sure = |known: &Known| !known.is_doubtful && known.map.is_some();
        if !is_sure(&self.map.read()) {
            self.refresh().await?;
        }
        let known = self.map.read();
        let door = known.map.as_ref().and_then(|map| map.door(slot)).cloned();
        door.ok_or_else(|| DialError::Unavailable(format!("CLUSTERDOWN no node serves slot {slot}")))
    }

    /// A connection to a master.
    pub(crate) async fn master(&self, door: &Door) -> Result<Arc<Master>, DialError> {
        let line = match self.lines.get(door) {
            Some(line) => line.clone(),
            None => {
                let make = || Arc::new(Line::new(&self.manner.settings));
                self.lines.entry(door.clone()).or_insert_with(make).clone()
            }
        };
        let master = line.master(async || Master::open(door, &self.manner).await).await;
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
    pub(crate) fn moved(&self, slot: u16, door: Door) {
        let mut known = self.map.write();
        // Where one slot moved, others did too.
        known.is_doubtful = true;
        if let Some(map) = &mut known.map {
            map.moved(slot, door);
        }
    }

    pub(crate) fn reset(&mut self) {
        self.lines.clear();
        self.doubt();
    }

    /// Reads the map from whichever node answers first. A map that is doubtful serves on while none can be read, and
    /// for a moment after each attempt.
    async fn refresh(&self) -> Result<(), DialError> {
        let mut last = self.reading.lock().await;
        let is_recent = last.is_some_and(|last| last.elapsed() < self.manner.settings.reconnect_min);
        let has_map = self.map.read().map.is_some();
        if has_map && (is_recent || !self.map.read().is_doubtful) {
            return Ok(());
        }
        let read = self.read().await;
        *last = Some(Instant::now());
        match read {
            Ok(map) => {
                self.lines.retain(|door, _| map.doors().contains(door));
                *self.map.write() = Known { map: Some(map), is_doubtful: false };
                Ok(())
            }
            Err(_) if has_map => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn read(&self) -> Result<SlotMap, DialError> {
        let mut doors = self.map.read().map.as_ref().map(SlotMap::doors).unwrap_or_default();
        doors.extend(self.seeds.iter().filter(|seed| !doors.contains(seed)).cloned().collect::<Vec<_>>());
        let mut answers: FuturesUnordered<_> = doors.iter().map(|door| self.ask(door)).collect();
        let mut failures = Vec::new();
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(map) => return Ok(map),
                Err(error) => failures.push(error),
            }
        }
        // A refusal (a wrong password) says more than silence.
        let refused = failures.iter().find(|error| matches!(error, DialError::Refused(_))).cloned();
        let words: Vec<_> = failures.iter().map(ToString::to_string).collect();
        let silent =
            || DialError::Unavailable(format!("no node of the Cluster answers: {}", words.join("; ")));
        Err(refused.unwrap_or_else(silent))
    }

    async fn ask(&self, door: &Door) -> Result<SlotMap, DialError> {
        let connection = Connection::open(door, &self.manner).await?;
        let question = vec![Bytes::from_static(b"CLUSTER"), Bytes::from_static(b"SLOTS")];
        let mut answers = connection.send(&[question], self.manner.settings.connect_timeout).await;
        let answer = answers.pop().unwrap_or(Ok(Value::Null));
        let answer = answer.map_err(|cause| DialError::of(&cause).at(door))?;
        SlotMap::read(answer, door)
            .ok_or_else(|| DialError::Unavailable(format!("{door}: knows no node that serves a slot")))
    }
}
