//! The typed settings of each part, and the stores and targets that they share.

use std::sync::Arc;

use metrifold_collector::{
    AgentSettings, AgentStatus, GrpcTarget, ReaperSettings, StoreTarget, Target as AgentTarget,
};
use metrifold_dial::RedisAddress;
use metrifold_exporter::ExporterSettings;
use metrifold_session::{PusherSettings, ReapPolicy};
use metrifold_store::{EmbeddedSettings, EmbeddedStore, RedisSettings, RedisStore, Store, StoreError};
use metrifold_telemetry::Metrics;
use tokio::sync::watch;

use super::ServerError;
use crate::{
    MeteredStore,
    config::{Settings, Target},
};

/// How a segment's holder names this process's own store; never changes, because it stands in segments.
const OWN_STORE: &str = "own store";

pub(super) fn reaper(settings: &Settings) -> ReaperSettings {
    let policy = ReapPolicy {
        ttl: settings.ttl(),
        tombstone_lifetime: settings.workers.tombstone_lifetime,
        settle: settings.settle(),
        per_worker_labels: settings.workers.per_worker_labels.clone(),
        ..ReapPolicy::default()
    };
    ReaperSettings { policy, restore_grace: settings.store.restore_grace, ..ReaperSettings::default() }
}

pub(super) fn agent(settings: &Settings) -> AgentSettings {
    let pusher = PusherSettings {
        interval: settings.agent.push_interval,
        // A restored store must hear of every source before it settles.
        retry_max: settings.settle() / 2,
        tombstone_lifetime: settings.workers.tombstone_lifetime,
        ..PusherSettings::default()
    };
    AgentSettings {
        pusher,
        exit_when_idle: settings.agent.exit_when_idle,
        linger: settings.agent.linger,
        ..AgentSettings::default()
    }
}

pub(super) fn exporter(settings: &Settings) -> ExporterSettings {
    ExporterSettings {
        namespace: settings.redis.namespace.clone(),
        scrape_timeout: settings.exporter.scrape_timeout,
        settle: settings.settle(),
        ttl: settings.ttl(),
        gauge_retention: settings.gauge_retention(),
        host_label: settings.workers.host_label,
        per_worker_labels: settings.workers.per_worker_labels.clone(),
    }
}

/// The store of this process: Redis if it is set, else one of its own. A Redis that cannot be reached yet is waited
/// for while the listener says so; one that refuses is an error.
pub(super) async fn open_store(settings: &Settings, metrics: &Metrics) -> Result<Arc<dyn Store>, StoreError> {
    let Some(address) = &settings.redis.url else {
        let embedded = EmbeddedSettings { data_dir: settings.store.data_dir.clone(), ..Default::default() };
        return Ok(Arc::new(MeteredStore::new(Arc::new(EmbeddedStore::open(embedded)?), metrics.clone())));
    };
    let store = connect(address, settings, metrics)?;
    match store.check().await {
        Err(error) if error.is_retryable() => {
            tracing::error!(url = %address, %error, "Redis is not there; scrapes are answered with 503 and pushes wait until it is");
            Ok(store)
        }
        checked => checked.map(|()| store),
    }
}

/// How to use the Redis at `address`.
pub(crate) fn redis(address: &RedisAddress, settings: &Settings) -> RedisSettings {
    let defaults = RedisSettings::new(address.clone());
    RedisSettings {
        shards: settings.redis.shards,
        // Every pusher must be heard of before a restored store settles.
        reconnect_max: defaults.reconnect_max.min(settings.settle() / 2),
        // A source that nobody folded must outlive every chance of its return.
        expiry: defaults.expiry.max(settings.workers.tombstone_lifetime * 2),
        ..defaults
    }
}

fn connect(
    address: &RedisAddress,
    settings: &Settings,
    metrics: &Metrics,
) -> Result<Arc<dyn Store>, StoreError> {
    let store = RedisStore::connect(redis(address, settings))?;
    Ok(Arc::new(MeteredStore::new(Arc::new(store), metrics.clone())))
}

/// Where an agent pushes to.
pub(super) struct Targets {
    pub(super) all: Vec<Arc<dyn AgentTarget>>,
    /// A store upstream that this process reaches itself, and therefore has to tend.
    pub(super) upstream_store: Option<Arc<dyn Store>>,
}

pub(super) fn targets(
    store: Arc<dyn Store>,
    settings: &Settings,
    metrics: &Metrics,
) -> Result<Targets, ServerError> {
    let mut targets =
        Targets { all: vec![Arc::new(StoreTarget::new(OWN_STORE, store))], upstream_store: None };
    match &settings.upstream.target {
        None => {}
        Some(target @ (Target::Http(_) | Target::Unix(_))) => {
            targets.all.push(Arc::new(GrpcTarget::new(&target.to_string())?));
        }
        Some(target @ Target::Redis(address)) => {
            let upstream = connect(address, settings, metrics)?;
            targets.all.push(Arc::new(StoreTarget::new(target.to_string(), upstream.clone())));
            targets.upstream_store = Some(upstream);
        }
    }
    Ok(targets)
}

/// Keeps the own metrics about segments up to date; never ends before the agent does.
pub(super) async fn count_segments(mut status: watch::Receiver<AgentStatus>, metrics: Metrics) {
    loop {
        let AgentStatus { live, dead, corrupt, finished, .. } = *status.borrow_and_update();
        for (state, count) in [("live", live), ("dead", dead), ("corrupt", corrupt)] {
            metrics.segments.with_label_values(&[state]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        metrics.segments_finished.inc_by(finished.saturating_sub(metrics.segments_finished.get()));
        if status.changed().await.is_err() {
            // The agent has gone and says by itself how it ended.
            std::future::pending::<()>().await;
        }
    }
}
