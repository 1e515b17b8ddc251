//! `/api/v1/status`: the server, its store, and what it has left out or refused.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use axum::{Json, extract::State};
use metrifold_exporter::ExporterSettings;
use metrifold_merge::Conflict;
use metrifold_model::{Namespace, limits};
use metrifold_session::ShardSnapshot;
use serde::Serialize;

use super::{
    bounds::{STATUS_CONFLICTS_MAX, STATUS_NAMESPACES_MAX},
    error::ApiError,
    query::{self, Asked, NamespaceQuery},
    seconds,
    workers::SourceCounts,
};
use crate::{Console, observed::ObservedNamespace};

#[derive(Serialize)]
pub(super) struct Status {
    version: &'static str,
    role: &'static str,
    takes_pushes: bool,
    shows_view: bool,
    uptime_seconds: f64,
    namespace: String,
    /// The first ones by name.
    namespaces: Vec<String>,
    namespaces_total: usize,
    store: StoreStatus,
    sources: SourceCounts,
    /// Families and series of the merged view.
    view: ViewStatus,
    /// Since the server started; all namespaces.
    traffic: TrafficStatus,
    refusals: Vec<RefusalStatus>,
    conflicts: Vec<ConflictStatus>,
    conflicts_total: usize,
    settings: SettingsStatus,
    limits: BTreeMap<&'static str, usize>,
}

/// What the store is, and whether it can be read.
#[derive(Serialize)]
struct StoreStatus {
    kind: &'static str,
    address: Option<String>,
    state: StoreState,
    /// What is wrong, for people; absent while nothing is.
    reason: Option<String>,
    /// Since when it cannot be read.
    failing_seconds: Option<f64>,
    /// Age of what is shown; absent before the first read.
    read_age_seconds: Option<f64>,
    /// How many shards are in which state.
    shards: BTreeMap<StoreState, usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum StoreState {
    /// Readable, open and settled.
    Ok,
    /// Restored a moment ago: nothing is folded yet.
    Settling,
    /// Closed until a server has restored it.
    Sealed,
    /// Nobody has tried to read it yet.
    Unread,
    /// It cannot be read.
    Unreachable,
}

#[derive(Serialize)]
struct ViewStatus {
    families: usize,
    series: usize,
}

#[derive(Serialize)]
struct TrafficStatus {
    pushes: u64,
    pushes_refused: u64,
    scrapes: u64,
    scrapes_failed: u64,
}

#[derive(Serialize)]
struct RefusalStatus {
    reason: String,
    count: u64,
    last_age_seconds: f64,
    /// Who sent the last one.
    last_instance: String,
    last_process: String,
}

#[derive(Serialize)]
struct ConflictStatus {
    family: String,
    reason: String,
    samples: usize,
}

/// The settings that explain what is seen.
#[derive(Serialize)]
struct SettingsStatus {
    ttl_seconds: Option<f64>,
    settle_seconds: f64,
    gauge_retention_seconds: f64,
    scrape_timeout_seconds: f64,
}

pub(super) async fn status(
    State(console): State<Arc<Console>>,
    Asked(query): Asked<NamespaceQuery>,
) -> Result<Json<Status>, ApiError> {
    let (namespace, seen) = query::namespace(&console, query.namespace.as_deref())?;
    let work = move || of(&console, &namespace, &seen);
    tokio::task::spawn_blocking(work).await.map(Json).map_err(|_| ApiError::Broken)
}

fn of(console: &Console, namespace: &Namespace, seen: &ObservedNamespace) -> Status {
    let now = Instant::now();
    let identity = &console.identity;
    let view = console.survey(namespace, &seen.snapshots());
    let namespaces = console.observed.namespaces().unwrap_or_else(|| vec![namespace.clone()]);
    let traffic = console.observed.traffic();
    let refusals = console.observed.refusals(namespace);
    Status {
        version: identity.version,
        role: identity.role,
        takes_pushes: identity.takes_pushes,
        shows_view: identity.shows_view,
        uptime_seconds: seconds(console.started.elapsed()),
        namespace: namespace.to_string(),
        namespaces_total: namespaces.len(),
        namespaces: namespaces.iter().take(STATUS_NAMESPACES_MAX).map(Namespace::to_string).collect(),
        store: store_status(console, seen, now),
        sources: SourceCounts::of(seen, console.settings.ttl),
        view: ViewStatus {
            families: view.families.len(),
            series: view.families.iter().map(|family| family.series.len()).sum(),
        },
        traffic: TrafficStatus {
            pushes: traffic.pushes,
            pushes_refused: traffic.refused,
            scrapes: traffic.scrapes,
            scrapes_failed: traffic.scrapes_failed,
        },
        refusals: refusals
            .iter()
            .map(|refused| RefusalStatus {
                reason: refused.refusal.to_string(),
                count: refused.count,
                last_age_seconds: seconds(now.saturating_duration_since(refused.last)),
                last_instance: refused.worker.instance.clone(),
                last_process: refused.worker.process.clone(),
            })
            .collect(),
        conflicts: view.conflicts.iter().take(STATUS_CONFLICTS_MAX).map(conflict_status).collect(),
        conflicts_total: view.conflicts.len(),
        settings: settings_status(&console.settings),
        limits: limits_by_name(),
    }
}

fn store_status(console: &Console, seen: &ObservedNamespace, now: Instant) -> StoreStatus {
    let mut shards = BTreeMap::new();
    for (_, snapshot, _) in &seen.shards {
        *shards.entry(shard_state(snapshot, &console.settings)).or_default() += 1;
    }
    let state = match &seen.trouble {
        Some(_) => StoreState::Unreachable,
        None => shards.last_key_value().map_or(StoreState::Unread, |(worst, _)| *worst),
    };
    let trouble = seen.trouble.as_ref();
    let told = match state {
        StoreState::Sealed => {
            Some("it is new, or came back after a loss, and a server role has to restore it")
        }
        StoreState::Settling => Some(
            "it came back a moment ago: nothing is folded, and no counter may fall, until all have pushed again",
        ),
        _ => None,
    };
    StoreStatus {
        kind: console.identity.store,
        address: console.identity.store_address.clone(),
        state,
        reason: trouble.map(|trouble| trouble.reason.clone()).or(told.map(str::to_owned)),
        failing_seconds: trouble.map(|trouble| seconds(now.saturating_duration_since(trouble.since))),
        read_age_seconds: seen.read_age(now).map(seconds),
        shards,
    }
}

fn shard_state(snapshot: &ShardSnapshot, settings: &ExporterSettings) -> StoreState {
    let head = &snapshot.head;
    if head.sealed || head.epoch.is_none() {
        return StoreState::Sealed;
    }
    match head.is_settled(snapshot.now, settings.settle) {
        true => StoreState::Ok,
        false => StoreState::Settling,
    }
}

fn conflict_status(conflict: &Conflict) -> ConflictStatus {
    ConflictStatus {
        family: conflict.family.clone(),
        reason: conflict.reason.to_string(),
        samples: conflict.samples,
    }
}

fn settings_status(settings: &ExporterSettings) -> SettingsStatus {
    SettingsStatus {
        ttl_seconds: settings.ttl.map(seconds),
        settle_seconds: seconds(settings.settle),
        gauge_retention_seconds: seconds(settings.gauge_retention),
        scrape_timeout_seconds: seconds(settings.scrape_timeout),
    }
}

/// The bounds that a refusal may name.
fn limits_by_name() -> BTreeMap<&'static str, usize> {
    BTreeMap::from([
        ("archive_bytes_max", limits::ARCHIVE_BYTES_MAX),
        ("exemplar_characters_max", limits::EXEMPLAR_CHARACTERS_MAX),
        ("help_bytes_max", limits::HELP_BYTES_MAX),
        ("identity_bytes_max", limits::IDENTITY_BYTES_MAX),
        ("label_value_bytes_max", limits::LABEL_VALUE_BYTES_MAX),
        ("labels_max", limits::LABELS_MAX),
        ("name_bytes_max", limits::NAME_BYTES_MAX),
        ("namespace_bytes_max", limits::NAMESPACE_BYTES_MAX),
        ("push_bytes_max", limits::PUSH_BYTES_MAX),
        ("slots_per_source_max", limits::SLOTS_PER_SOURCE_MAX),
        ("sources_per_namespace_max", limits::SOURCES_PER_NAMESPACE_MAX),
    ])
}
