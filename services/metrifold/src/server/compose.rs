//! The typed settings of each part, and the stores and targets that they share.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use metrifold_agent::{AgentSettings, AgentStatus, FilesSettings, StoreTransport};
use metrifold_collector::ReaperSettings;
use metrifold_exporter::{ExporterSettings, OwnMetrics};
use metrifold_push::{GrpcTransport, Target, Transport};
use metrifold_redis::RedisAddress;
use metrifold_session::{PusherSettings, ReapPolicy};
use metrifold_status::{Identity, MeteredStore};
use metrifold_store::{EmbeddedSettings, EmbeddedStore, RedisSettings, RedisStore, Store, StoreError};
use metrifold_telemetry::Metrics;
use prometheus::{IntCounter, IntGaugeVec, Registry};
use tokio::sync::watch;

use super::{Role, ServerError};
use crate::config::Settings;

/// How a segment's holder names this process's own store; never changes, because it stands in segments.
const OWN_STORE: &str = "own store";

/// How long a server that ends with its workers waits for the one before to let its data directory go.
const PREDECESSOR_ENDS_WITHIN: Duration = Duration::from_secs(3);

/// How long a scrape may wait for a server that has just started: as long as Prometheus waits for it.
const CATCH_UP_MAX: Duration = Duration::from_secs(10);

/// `opens`: whether the namespace is made though nobody has pushed into it.
pub(super) fn reaper(settings: &Settings, opens: bool) -> ReaperSettings {
    let policy = ReapPolicy {
        ttl: settings.ttl(),
        tombstone_lifetime: settings.workers.tombstone_lifetime,
        settle: settings.settle(),
        archive: settings.archive_policy(),
        ..ReapPolicy::default()
    };
    ReaperSettings { policy, restore_grace: settings.store.restore_grace, opens, ..ReaperSettings::default() }
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

pub(super) fn files(settings: &Settings, store: Arc<dyn Store>) -> FilesSettings {
    FilesSettings {
        namespace: settings.redis.namespace.clone(),
        instance: settings.instance(),
        liveness: settings.agent.liveness,
        is_cleaned_up: settings.agent.cleanup,
        store,
    }
}

pub(super) fn exporter(settings: &Settings, own: &Registry) -> ExporterSettings {
    ExporterSettings {
        namespace: settings.redis.namespace.clone(),
        scrape_timeout: settings.exporter.scrape_timeout,
        settle: settings.settle(),
        ttl: settings.ttl(),
        gauge_retention: settings.gauge_retention(),
        host_label: settings.workers.host_label,
        per_worker_labels: settings.workers.per_worker_labels.clone(),
        archive_labels: settings.workers.archive_labels.clone(),
        group_by: settings.exporter.group_by.clone(),
        serve_stale: Some(settings.exporter.serve_stale).filter(|limit| !limit.is_zero()),
        own_metrics: own_metrics(settings, own),
    }
}

/// What `/metrics` shows besides the workers': never what is of this process alone (`process_*`), which workers have too.
fn own_metrics(settings: &Settings, own: &Registry) -> Option<OwnMetrics> {
    let wanted = [
        (settings.exporter.own_metrics, "metrifold_"),
        (settings.exporter.sidecar_metrics, metrifold_telemetry::SIDECAR_PREFIX),
    ];
    let prefixes: Vec<_> =
        wanted.iter().filter(|(is_wanted, _)| *is_wanted).map(|(_, prefix)| *prefix).collect();
    (!prefixes.is_empty()).then(|| OwnMetrics { registry: own.clone(), prefixes })
}

/// What the server says of itself on its status page.
pub(super) fn identity(role: Role, settings: &Settings) -> Identity {
    let redis = settings.redis.url.as_ref();
    let directory = settings.data_dir();
    Identity {
        role: role.name(),
        version: env!("CARGO_PKG_VERSION"),
        takes_pushes: takes_pushes(role, settings),
        shows_view: role.shows_view(),
        store: if redis.is_some() { "redis" } else { "embedded" },
        store_address: redis
            .map(ToString::to_string)
            .or_else(|| directory.map(|directory| directory.display().to_string())),
    }
}

/// A server that ends with the workers of one application is theirs alone, and they count in memory that it holds.
pub(super) fn takes_pushes(role: Role, settings: &Settings) -> bool {
    role.takes_pushes() && !settings.agent.exit_when_idle
}

/// The store of this process: Redis if it is set, else one of its own. A Redis that cannot be reached yet is waited
/// for while the listener says so; one that refuses is an error.
pub(super) async fn open_store(
    settings: &Settings,
    local_data_dir: Option<&Path>,
    metrics: &Metrics,
) -> Result<Arc<dyn Store>, StoreError> {
    let Some(address) = &settings.redis.url else {
        let store = match local_data_dir {
            Some(directory) => open_local(directory).await?,
            None => open_embedded(settings.data_dir())?,
        };
        return Ok(Arc::new(MeteredStore::new(Arc::new(store), metrics.clone())));
    };
    let store = connect(address, settings, metrics)?;
    match store.check().await {
        Err(error @ StoreError::Full(_)) => {
            tracing::error!(url = %address, %error, "pushes are refused until there is room; scrapes and folding go on");
            Ok(store)
        }
        Err(error) if error.is_retryable() => {
            tracing::error!(url = %address, %error, "Redis is not there; scrapes are answered with 503 and pushes wait until it is");
            Ok(store)
        }
        checked => checked.map(|()| store),
    }
}

fn open_embedded(data_dir: Option<PathBuf>) -> Result<EmbeddedStore, StoreError> {
    EmbeddedStore::open(EmbeddedSettings { data_dir, ..Default::default() })
}

/// The store of a server that ends with its workers. Its predecessor may be about to end. Workers are served without a
/// directory rather than not at all.
async fn open_local(directory: &Path) -> Result<EmbeddedStore, StoreError> {
    let began = Instant::now();
    loop {
        match open_embedded(Some(directory.to_owned())) {
            Ok(store) => return Ok(store),
            Err(_) if began.elapsed() < PREDECESSOR_ENDS_WITHIN => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => {
                tracing::warn!(%error, "totals of workers that have ended will not outlive a kill of this server");
                return open_embedded(None);
            }
        }
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
    pub(super) all: Vec<Arc<dyn Transport>>,
    /// A store upstream that this process reaches itself, and therefore has to tend.
    pub(super) upstream_store: Option<Arc<dyn Store>>,
}

pub(super) fn targets(
    store: Arc<dyn Store>,
    settings: &Settings,
    metrics: &Metrics,
) -> Result<Targets, ServerError> {
    let mut targets =
        Targets { all: vec![Arc::new(StoreTransport::new(OWN_STORE, store))], upstream_store: None };
    match &settings.upstream.target {
        None => {}
        Some(target @ Target::Redis(address)) => {
            let upstream = connect(address, settings, metrics)?;
            targets.all.push(Arc::new(StoreTransport::new(target.to_string(), upstream.clone())));
            targets.upstream_store = Some(upstream);
        }
        Some(target) => targets.all.push(Arc::new(GrpcTransport::new(target, settings.upstream.token()?)?)),
    }
    Ok(targets)
}

/// Keeps the own metrics about segments and files up to date; never ends before the agent does.
pub(super) async fn count_memory(mut status: watch::Receiver<AgentStatus>, metrics: Metrics) {
    loop {
        let AgentStatus { live, dead, corrupt, finished, files, .. } = *status.borrow_and_update();
        let set = |gauge: &IntGaugeVec, state: &str, count: usize| {
            gauge.with_label_values(&[state]).set(i64::try_from(count).unwrap_or(i64::MAX));
        };
        let raise = |counter: &IntCounter, count: u64| counter.inc_by(count.saturating_sub(counter.get()));
        for (state, count) in [("live", live), ("dead", dead), ("corrupt", corrupt)] {
            set(&metrics.segments, state, count);
        }
        let of_files =
            [("live", files.live), ("dead", files.dead), ("kept", files.kept), ("corrupt", files.corrupt)];
        for (state, count) in of_files {
            set(&metrics.files, state, count);
        }
        metrics.files_bytes.set(i64::try_from(files.bytes).unwrap_or(i64::MAX));
        raise(&metrics.segments_finished, finished);
        raise(&metrics.files_finished, files.finished);
        raise(&metrics.files_removed, files.removed);
        raise(&metrics.ledger_errors, files.ledger_failures);
        if status.changed().await.is_err() {
            // The agent has gone and says by itself how it ended.
            std::future::pending::<()>().await;
        }
    }
}

/// Waits until what was there when the agent started is in the store, so that a server that was started again shows
/// nothing less than before; not for longer than the store settles, and [`CATCH_UP_MAX`] at least.
pub(super) async fn caught_up(mut status: watch::Receiver<AgentStatus>, settings: &Settings) {
    let wait = settings.settle().max(CATCH_UP_MAX);
    let arrived = status.wait_for(|status| status.has_arrived);
    if tokio::time::timeout(wait, arrived).await.is_err() {
        tracing::warn!(
            "not everything that was in the directory when this server started is in the store yet; it is shown as it comes"
        );
    }
}
