//! The notes themselves.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use metrifold_model::{Namespace, Worker};
use metrifold_session::{Refusal, ShardSnapshot, count_states};
use metrifold_store::{ShardIndex, StoreError};
use metrifold_telemetry::Metrics;
use parking_lot::Mutex;
use prometheus::core::Collector;

use super::{
    history::{HISTORY_INTERVAL, History, Lives, Traffic},
    lives::Changes,
    refusals::{Refusals, Refused},
};

/// What a process has seen of its store. Shared; a [`ObservedStore`](super::ObservedStore) writes, status and page read.
///
/// Bounded by what the store holds: one copy of each shard (shared with whoever read it) and one short history per
/// namespace.
pub struct Observed {
    ttl: Option<Duration>,
    own: Namespace,
    metrics: Metrics,
    notes: Mutex<Notes>,
    refusals: Mutex<Refusals>,
}

#[derive(Default)]
struct Notes {
    listed: Option<Vec<Namespace>>,
    namespaces: BTreeMap<Namespace, Watched>,
    /// Why the store as a whole could not be asked, at the last attempt.
    trouble: Option<Trouble>,
    traffic: History<Traffic>,
    traffic_before: Traffic,
}

/// A read that failed, and has failed ever since.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    pub(crate) reason: String,
    pub(crate) since: Instant,
}

#[derive(Clone, Default)]
struct Watched {
    shards: BTreeMap<ShardIndex, ShardSight>,
    changes: Changes,
    lives: History<Lives>,
}

#[derive(Clone, Default)]
struct ShardSight {
    last: Option<(Arc<ShardSnapshot>, Instant)>,
    trouble: Option<Trouble>,
}

/// What is known of one namespace.
#[derive(Clone, Debug, Default)]
pub(crate) struct ObservedNamespace {
    /// The shards that were read, in order, and when.
    pub(crate) shards: Vec<(ShardIndex, Arc<ShardSnapshot>, Instant)>,
    /// Why it could not be read at the last attempt.
    pub(crate) trouble: Option<Trouble>,
}

impl ObservedNamespace {
    /// How old the oldest part of what is shown is; `None` before the first read.
    pub(crate) fn read_age(&self, now: Instant) -> Option<Duration> {
        self.shards.iter().map(|(_, _, read)| now.saturating_duration_since(*read)).max()
    }

    /// The copies alone.
    pub(crate) fn snapshots(&self) -> Vec<Arc<ShardSnapshot>> {
        self.shards.iter().map(|(_, snapshot, _)| snapshot.clone()).collect()
    }
}

impl Observed {
    /// Nothing seen yet. `own` is the namespace that is always known; `ttl` as in
    /// [`ExporterSettings::ttl`](metrifold_exporter::ExporterSettings::ttl).
    pub fn new(own: Namespace, ttl: Option<Duration>, metrics: Metrics) -> Arc<Observed> {
        Arc::new(Observed { ttl, own, metrics, notes: Mutex::default(), refusals: Mutex::default() })
    }

    /// Adds a point to the history every few seconds. Never ends.
    pub async fn record(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(HISTORY_INTERVAL);
        // A late point is better than two at once.
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            self.tick();
        }
    }

    /// The namespaces of the store, own one included; `None` if they were never listed.
    pub(crate) fn namespaces(&self) -> Option<Vec<Namespace>> {
        let mut listed = self.notes.lock().listed.clone()?;
        if let Err(place) = listed.binary_search(&self.own) {
            listed.insert(place, self.own.clone());
        }
        Some(listed)
    }

    /// What is known of a namespace; `None` if it does not exist.
    pub(crate) fn of(&self, namespace: &Namespace) -> Option<ObservedNamespace> {
        let notes = self.notes.lock();
        let watched = notes.namespaces.get(namespace);
        let is_known = watched.is_some()
            || *namespace == self.own
            || notes.listed.as_ref().is_some_and(|listed| listed.contains(namespace));
        is_known.then(|| {
            let shards = watched.map(|watched| &watched.shards).into_iter().flatten();
            let trouble = shards.clone().find_map(|(_, seen)| seen.trouble.clone());
            let shards = shards.filter_map(|(shard, seen)| {
                seen.last.as_ref().map(|(snapshot, read)| (*shard, snapshot.clone(), *read))
            });
            ObservedNamespace { shards: shards.collect(), trouble: notes.trouble.clone().or(trouble) }
        })
    }

    /// Refused pushes of a namespace.
    pub(crate) fn refusals(&self, namespace: &Namespace) -> Vec<Refused> {
        self.refusals.lock().of(namespace)
    }

    /// The past of a namespace and of this process, oldest first.
    pub(crate) fn history(&self, namespace: &Namespace) -> (Vec<Lives>, Vec<Traffic>) {
        let notes = self.notes.lock();
        let lives = notes.namespaces.get(namespace).map(|watched| watched.lives.iter().copied().collect());
        (lives.unwrap_or_default(), notes.traffic.iter().copied().collect())
    }

    /// What has passed through this process since it started.
    pub(crate) fn traffic(&self) -> Traffic {
        let scrapes = |result| self.metrics.scrapes.with_label_values(&[result]).get();
        let answered = scrapes("ok") + scrapes("stale");
        Traffic {
            pushes: total(&self.metrics.pushes),
            refused: total(&self.metrics.pushes_refused),
            scrapes: answered,
            scrapes_failed: total(&self.metrics.scrapes).saturating_sub(answered),
        }
    }

    pub(super) fn saw(&self, namespace: &Namespace, shard: ShardIndex, snapshot: &Arc<ShardSnapshot>) {
        let mut notes = self.notes.lock();
        let watched = notes.namespaces.entry(namespace.clone()).or_default();
        let seen = watched.shards.entry(shard).or_default();
        seen.trouble = None;
        if let Some((before, _)) = &seen.last
            && !Arc::ptr_eq(before, snapshot)
        {
            watched.changes += Changes::between(before, snapshot, self.ttl);
        }
        seen.last = Some((snapshot.clone(), Instant::now()));
    }

    pub(super) fn missed(&self, namespace: &Namespace, shard: ShardIndex, error: &StoreError) {
        let mut notes = self.notes.lock();
        let watched = notes.namespaces.entry(namespace.clone()).or_default();
        note(&mut watched.shards.entry(shard).or_default().trouble, error);
    }

    /// Notes whether the store as a whole could be asked.
    pub(super) fn noted_whole<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        let mut notes = self.notes.lock();
        match &outcome {
            Ok(_) => notes.trouble = None,
            Err(error) => note(&mut notes.trouble, error),
        }
        outcome
    }

    /// What the store no longer holds is forgotten here too.
    pub(super) fn listed(&self, namespaces: &[Namespace]) {
        let mut notes = self.notes.lock();
        notes.namespaces.retain(|known, _| *known == self.own || namespaces.contains(known));
        notes.listed = Some(namespaces.to_vec());
    }

    pub(super) fn refused(&self, namespace: &Namespace, refusal: Refusal, worker: &Arc<Worker>) {
        self.refusals.lock().add(namespace, refusal, worker, Instant::now());
    }

    fn tick(&self) {
        let traffic = self.traffic();
        let mut notes = self.notes.lock();
        let before = std::mem::replace(&mut notes.traffic_before, traffic);
        notes.traffic.push(traffic.since(before));
        for watched in notes.namespaces.values_mut() {
            let live = watched.shards.values().map(|seen| self.live(seen)).sum();
            let changes = std::mem::take(&mut watched.changes);
            watched.lives.push(Lives { live, changes });
        }
    }

    fn live(&self, seen: &ShardSight) -> usize {
        let Some((snapshot, _)) = &seen.last else { return 0 };
        let [live, ..] = count_states(snapshot, self.ttl);
        live
    }
}

/// Keeps the time of the first of several failures, and the reason of the last.
fn note(trouble: &mut Option<Trouble>, error: &StoreError) {
    let since = trouble.as_ref().map_or_else(Instant::now, |trouble| trouble.since);
    *trouble = Some(Trouble { reason: error.to_string(), since });
}

/// The sum of a counter over all its labels.
fn total(counter: &prometheus::IntCounterVec) -> u64 {
    let families = counter.collect();
    let metrics = families.iter().flat_map(|family| family.get_metric());
    // Counts are whole and far below 2^53.
    metrics.map(|metric| metric.get_counter().get_value() as u64).sum()
}
