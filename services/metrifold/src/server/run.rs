//! From settings to a drained end.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use axum::{http::StatusCode, middleware::from_fn};
use metrifold_agent::{Agent, AgentStatus};
use metrifold_collector::{Reaper, ReaperSettings};
use metrifold_exporter::Exporter;
use metrifold_gate::{Gate, Permit};
use metrifold_segment::{AgentLock, AgentLockError, MultiprocDirectory, SegmentDirectory};
use metrifold_status::{Console, Observed, ObservedStore};
use metrifold_store::{EmbeddedStore, Store};
use metrifold_telemetry::{Metrics, SidecarMetrics};
use prometheus::Registry;
use tokio::sync::watch;

use super::{ReloadInputs, Role, ServerError, compose, parts::Parts, reload::Reload, traced::traced};
use crate::{config::Settings, listener::Listeners, say};

/// Runs a role until SIGTERM, SIGINT, or idleness if that is set; returns when it is drained.
pub(crate) async fn run(role: Role, settings: Settings, from: ReloadInputs) -> Result<(), ServerError> {
    role.check(&settings)?;
    let places = match role.watches_segments() {
        true => take_places(&settings)?,
        false => Some(Places::default()),
    };
    let Some(places) = places else { return Ok(()) };
    let own = Registry::new();
    let metrics = Metrics::register(&own)?;
    metrics.build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    #[cfg(target_os = "linux")]
    own.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
    if settings.exporter.sidecar_metrics {
        own.register(Box::new(SidecarMetrics::new(metrics.clone())?))?;
    }
    let gate = Gate::open(
        settings.web.source(),
        settings.redis.namespace.clone(),
        settings.ingest.allow_anonymous,
        metrics.clone(),
    )?;
    let observed = Observed::new(settings.redis.namespace.clone(), settings.ttl(), metrics.clone());
    let local_data_dir = settings.local_data_dir().filter(|_| role.watches_segments());
    let store = compose::open_store(&settings, local_data_dir.as_deref(), &metrics).await?;
    let store: Arc<dyn Store> = Arc::new(ObservedStore::new(store, observed.clone()));
    let listeners = Listeners::bind(&settings.http).await?;
    let address = listeners.address();

    let mut parts = Parts::new();
    let reaper = compose::reaper(&settings, role != Role::Exporter);
    let is_serving = reap(&mut parts, "own", store.clone(), reaper, &settings, &metrics);
    let catching_up = watch(&mut parts, places, store.clone(), local_data_dir, &settings, &metrics)?;
    let has_caught_up = catch_up(&mut parts, catching_up, &settings);
    record(&mut parts, observed.clone());
    let reload = Reload::new(from, gate.clone());
    parts.spawn(reload.clone().run(parts.drain()));
    let console =
        Console::new(compose::identity(role, &settings), compose::exporter(&settings, &own), observed);
    let exporter = Exporter::after(has_caught_up, store.clone(), compose::exporter(&settings, &own), metrics);
    let router = router(role, store, &settings, exporter, own, is_serving)
        .await
        .merge(metrifold_status::console(console))
        .merge(reload.route());
    let (drain, is_tls, guard) = (parts.drain(), gate.is_tls(), gate.clone());
    parts.spawn(async move {
        listeners.serve(guard, router, drain).await;
        Ok(())
    });
    announce(role, is_tls, address, &settings);
    let is_reached = compose::takes_pushes(role, &settings) && !address.ip().is_loopback();
    if is_reached && !gate.takes_pushes_from_elsewhere().await {
        tracing::warn!(
            "pushes are taken from this host only, since nobody is asked for credentials: give the server tokens \
             (web.config_file), or set ingest.allow_anonymous"
        );
    }
    parts.until_drained().await
}

/// The right to hold directories.
#[derive(Default)]
struct Places {
    segments: Option<(SegmentDirectory, AgentLock)>,
    files: Option<(MultiprocDirectory, AgentLock)>,
}

/// `None`: another agent is there already, and this one was to end when idle, so there is nothing to do.
fn take_places(settings: &Settings) -> Result<Option<Places>, ServerError> {
    let directory = SegmentDirectory::open(&settings.agent.segment_dir)?;
    let segments = match directory.agent_lock() {
        Ok(lock) => Some((directory, lock)),
        Err(held @ AgentLockError::Held { .. }) if settings.agent.exit_when_idle => {
            let line = format!("{held}; nothing to do here");
            tracing::info!("{line}");
            say(&line);
            return Ok(None);
        }
        // The directory that all share by default: a sidecar of some files has no claim to it.
        Err(held @ AgentLockError::Held { .. })
            if settings.agent.multiproc_dir.is_some()
                && settings.agent.segment_dir == metrifold_segment::default_path() =>
        {
            tracing::info!("{held}; this server holds files only");
            None
        }
        Err(error) => return Err(error.into()),
    };
    let files = settings.agent.multiproc_dir.as_ref().map(|path| {
        let directory = MultiprocDirectory::open(path)?;
        let lock = directory.agent_lock().map_err(ServerError::FilesLock)?;
        Ok::<_, ServerError>((directory, lock))
    });
    Ok(Some(Places { segments, files: files.transpose()? }))
}

/// Tends a store; says from then on whether it can be tended.
fn reap(
    parts: &mut Parts,
    name: &str,
    store: Arc<dyn Store>,
    reaper: ReaperSettings,
    settings: &Settings,
    metrics: &Metrics,
) -> watch::Receiver<bool> {
    let reaper = Reaper::new(store, settings.redis.namespace.clone(), reaper);
    let (drain, passes) = (parts.drain(), metrics.reaper_passes.clone());
    let up = metrics.store_up.with_label_values(&[name]);
    let (is_serving, serving) = watch::channel(false);
    parts.spawn(async move {
        let passed = |is_good| {
            up.set(i64::from(is_good));
            is_serving.send_replace(is_good);
            if is_good {
                passes.inc();
            }
        };
        reaper.run(drain, passed).await;
        Ok(())
    });
    serving
}

/// Says when what was there at the start is in the store.
fn catch_up(
    parts: &mut Parts,
    status: Option<watch::Receiver<AgentStatus>>,
    settings: &Settings,
) -> watch::Receiver<bool> {
    let (sender, has_caught_up) = watch::channel(status.is_none());
    let Some(status) = status else { return has_caught_up };
    let (drain, settings) = (parts.drain(), settings.clone());
    parts.spawn(async move {
        tokio::select! {
            () = compose::caught_up(status, &settings) => {}
            () = drain.cancelled() => {}
        }
        sender.send_replace(true);
        // A part that ends drains the server.
        drain.cancelled().await;
        Ok(())
    });
    has_caught_up
}

/// Keeps a short history for the status page.
fn record(parts: &mut Parts, observed: Arc<Observed>) {
    let drain = parts.drain();
    parts.spawn(async move {
        tokio::select! {
            () = drain.cancelled() => {}
            () = observed.record() => {}
        }
        Ok(())
    });
}

/// Holds what is in the places; with Redis upstream, folds there too. Returns what to wait for before anything is shown:
/// files outlive a server, and so must what it showed of them.
fn watch(
    parts: &mut Parts,
    places: Places,
    store: Arc<dyn Store>,
    local_data_dir: Option<PathBuf>,
    settings: &Settings,
    metrics: &Metrics,
) -> Result<Option<watch::Receiver<AgentStatus>>, ServerError> {
    let Places { segments, files } = places;
    if segments.is_none() && files.is_none() {
        return Ok(None);
    }
    let targets = compose::targets(store.clone(), settings, metrics)?;
    if let Some(upstream) = targets.upstream_store {
        reap(parts, "upstream", upstream, compose::reaper(settings, true), settings, metrics);
    }
    let has_files = files.is_some();
    let mut agent = Agent::new(targets.all, compose::agent(settings));
    if let Some((directory, lock)) = segments {
        agent = agent.with_segments(directory, lock);
    }
    if let Some((directory, lock)) = files {
        agent = agent.with_files(directory, lock, compose::files(settings, store))?;
    }
    let (status, metrics) = (agent.status(), metrics.clone());
    let catching_up = has_files.then(|| status.clone());
    let drain = parts.drain();
    parts.spawn(async move {
        tokio::select! {
            ended = agent.run(drain.clone()) => ended?,
            () = compose::count_memory(status, metrics) => {}
        }
        tracing::info!("the agent has let its directories go: drained or idle");
        if let Some(directory) = local_data_dir.filter(|_| !drain.is_cancelled()) {
            // Before this process lets it go: the next server's own is never taken for it.
            EmbeddedStore::remove(&directory);
        }
        Ok(())
    });
    Ok(catching_up)
}

async fn router(
    role: Role,
    store: Arc<dyn Store>,
    settings: &Settings,
    exporter: Arc<Exporter>,
    own: Registry,
    is_serving: watch::Receiver<bool>,
) -> axum::Router {
    let pages = metrifold_status::health(exporter.clone(), own);
    let pages = match role.shows_view() {
        true => pages.merge(metrifold_exporter::build(exporter)),
        false => pages,
    };
    match compose::takes_pushes(role, settings) {
        true => {
            let namespace = settings.redis.namespace.clone();
            let routes = metrifold_collector::guarded_ingest(store, namespace, Permit::push_of, is_serving);
            let routes = routes.await;
            // gRPC's own fallback would answer any unknown page with 200; its clients take 404 for "unimplemented".
            routes
                .into_axum_router()
                .layer(from_fn(traced))
                .merge(pages)
                .fallback(async || (StatusCode::NOT_FOUND, "no such page\n"))
        }
        false => pages,
    }
}

fn announce(role: Role, is_tls: bool, address: SocketAddr, settings: &Settings) {
    let scheme = if is_tls { "https" } else { "http" };
    let socket = settings.http.unix_socket.as_ref();
    let socket = socket.map(|path| format!(" and unix:{}", path.display())).unwrap_or_default();
    tracing::info!(?role, "listening on {scheme}://{address}{socket}");
    say(&format!("listening on {scheme}://{address}{socket}"));
}
