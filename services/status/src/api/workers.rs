//! `/api/v1/workers`: who is alive, dead or folded; by host, and one by one.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{Json, extract::State};
use metrifold_session::{SourceRow, SourceState, count_states, sort_sources, source_rows};
use serde::{Deserialize, Serialize};

use super::{
    bounds::{HOSTS_MAX, WORKERS_LIMIT_DEFAULT, WORKERS_LIMIT_MAX},
    error::ApiError,
    query::{self, Asked},
    seconds,
};
use crate::{Console, observed::ObservedNamespace};

/// `?namespace=&instance=&state=&offset=&limit=`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WorkersQuery {
    namespace: Option<String>,
    /// Only workers of this host.
    instance: Option<String>,
    /// Only workers in this state.
    state: Option<String>,
    offset: Option<usize>,
    limit: Option<usize>,
}

#[derive(Serialize)]
pub(super) struct Workers {
    namespace: String,
    /// Age of what is shown.
    read_age_seconds: Option<f64>,
    /// Of the whole namespace, whatever is asked for.
    sources: SourceCounts,
    hosts: Vec<Host>,
    hosts_total: usize,
    /// Workers that match, on all pages.
    total: usize,
    offset: usize,
    limit: usize,
    workers: Vec<WorkerEntry>,
}

/// How many sources are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct SourceCounts {
    live: usize,
    dead: usize,
    folded: usize,
}

impl SourceCounts {
    /// Those of a namespace.
    pub(super) fn of(seen: &ObservedNamespace, ttl: Option<Duration>) -> SourceCounts {
        let mut counts = SourceCounts::default();
        for (_, snapshot, _) in &seen.shards {
            let [live, dead, folded] = count_states(snapshot, ttl);
            counts.live += live;
            counts.dead += dead;
            counts.folded += folded;
        }
        counts
    }
}

/// All workers of one host.
#[derive(Serialize)]
struct Host {
    instance: String,
    live: usize,
    dead: usize,
    folded: usize,
    /// Of its live or dead workers.
    series: usize,
    bytes: usize,
    /// Since the last push of any of them, or the last fold.
    last_push_age_seconds: f64,
}

#[derive(Serialize)]
struct WorkerEntry {
    state: &'static str,
    source: String,
    instance: String,
    process: String,
    labels: BTreeMap<String, String>,
    /// Since its last push; of a folded one, since the fold.
    last_push_age_seconds: f64,
    series: usize,
    /// Of its values, time stamps and base in the store.
    bytes: usize,
}

pub(super) async fn workers(
    State(console): State<Arc<Console>>,
    Asked(query): Asked<WorkersQuery>,
) -> Result<Json<Workers>, ApiError> {
    let limit = query::limit(query.limit, WORKERS_LIMIT_DEFAULT, WORKERS_LIMIT_MAX)?;
    let state = query.state.as_deref().map(state).transpose()?;
    let (namespace, seen) = query::read_namespace(&console, query.namespace.as_deref())?;
    let work = move || {
        let rows = rows(&seen, console.settings.ttl);
        let (hosts, hosts_total) = hosts(&rows);
        let is_asked = |row: &&SourceRow| {
            query.instance.as_ref().is_none_or(|instance| row.worker.instance == *instance)
                && state.is_none_or(|state| row.state == state)
        };
        let asked: Vec<_> = rows.iter().filter(is_asked).collect();
        let page = query::page(query.offset, limit, asked.len());
        Workers {
            namespace: namespace.to_string(),
            read_age_seconds: seen.read_age(std::time::Instant::now()).map(seconds),
            sources: SourceCounts::of(&seen, console.settings.ttl),
            hosts,
            hosts_total,
            total: asked.len(),
            offset: page.start,
            limit,
            workers: asked[page].iter().map(|row| entry(row)).collect(),
        }
    };
    // A hundred thousand sources take their time.
    tokio::task::spawn_blocking(work).await.map(Json).map_err(|_| ApiError::Broken)
}

fn state(word: &str) -> Result<SourceState, ApiError> {
    SourceState::ALL
        .into_iter()
        .find(|state| state.name() == word)
        .ok_or_else(|| ApiError::Query(format!("state={word} is none of live, dead, folded")))
}

/// Every source, sorted; ages as of now, not as of the last read.
fn rows(seen: &ObservedNamespace, ttl: Option<Duration>) -> Vec<SourceRow> {
    let mut rows = Vec::new();
    for (_, snapshot, read) in &seen.shards {
        let older = read.elapsed();
        rows.extend(source_rows(snapshot, ttl).map(|row| SourceRow { age: row.age + older, ..row }));
    }
    sort_sources(&mut rows);
    rows
}

/// The hosts with the most live workers, and how many hosts there are.
fn hosts(rows: &[SourceRow]) -> (Vec<Host>, usize) {
    let mut by_name: BTreeMap<&str, Host> = BTreeMap::new();
    for row in rows {
        let host = by_name.entry(&row.worker.instance).or_insert_with(|| Host {
            instance: row.worker.instance.clone(),
            live: 0,
            dead: 0,
            folded: 0,
            series: 0,
            bytes: 0,
            last_push_age_seconds: f64::INFINITY,
        });
        match row.state {
            SourceState::Live => host.live += 1,
            SourceState::Dead => host.dead += 1,
            SourceState::Folded => host.folded += 1,
        }
        if row.state != SourceState::Folded {
            host.series += row.series;
        }
        host.bytes += row.value_bytes;
        host.last_push_age_seconds = host.last_push_age_seconds.min(seconds(row.age));
    }
    let total = by_name.len();
    let mut hosts: Vec<_> = by_name.into_values().collect();
    // Stable, so by name among equals.
    hosts.sort_by_key(|host| std::cmp::Reverse((host.live, host.dead)));
    hosts.truncate(HOSTS_MAX);
    (hosts, total)
}

fn entry(row: &SourceRow) -> WorkerEntry {
    let labels = row.worker.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    WorkerEntry {
        state: row.state.name(),
        source: row.source.to_string(),
        instance: row.worker.instance.clone(),
        process: row.worker.process.clone(),
        labels: labels.collect(),
        last_push_age_seconds: seconds(row.age),
        series: row.series,
        bytes: row.value_bytes,
    }
}
