//! From settings to a drained end.

use std::{net::SocketAddr, sync::Arc};

use axum::http::StatusCode;
use metrifold_collector::{Agent, Reaper};
use metrifold_exporter::Exporter;
use metrifold_segment::{AgentLock, AgentLockError, SegmentDirectory};
use metrifold_store::Store;
use metrifold_telemetry::Metrics;
use prometheus::Registry;

use super::{Role, ServerError, compose, parts::Parts};
use crate::{config::Settings, listener::Listeners, say};

/// Runs a role until SIGTERM, SIGINT, or idleness if that is set; returns when it is drained.
pub(crate) async fn run(role: Role, settings: Settings) -> Result<(), ServerError> {
    role.check(&settings)?;
    let place = match role.watches_segments() {
        true => Some(take_place(&settings)?),
        false => None,
    };
    if let Some(Place::Taken) = place {
        return Ok(());
    }
    let own = Registry::new();
    let metrics = Metrics::register(&own)?;
    let store = compose::open_store(&settings, &metrics).await?;
    let listeners = Listeners::bind(&settings.http).await?;
    let address = listeners.address();

    let mut parts = Parts::new();
    reap(&mut parts, store.clone(), &settings, &metrics);
    if let Some(Place::Ours(directory, lock)) = place {
        watch(&mut parts, directory, lock, store.clone(), &settings, &metrics)?;
    }
    let router = router(role, store, &settings, metrics, own).await;
    let drain = parts.drain();
    parts.spawn(async move { Ok(listeners.serve(router, drain).await?) });
    announce(role, address, &settings);
    parts.until_drained().await
}

/// The right to hold a segment directory.
enum Place {
    Ours(SegmentDirectory, AgentLock),
    /// Another agent is there already, and this one was to end when idle: there is nothing to do.
    Taken,
}

fn take_place(settings: &Settings) -> Result<Place, ServerError> {
    let directory = SegmentDirectory::open(&settings.agent.segment_dir)?;
    match directory.agent_lock() {
        Ok(lock) => Ok(Place::Ours(directory, lock)),
        Err(held @ AgentLockError::Held { .. }) if settings.agent.exit_when_idle => {
            let line = format!("{held}; nothing to do here");
            tracing::info!("{line}");
            say(&line);
            Ok(Place::Taken)
        }
        Err(error) => Err(error.into()),
    }
}

fn reap(parts: &mut Parts, store: Arc<dyn Store>, settings: &Settings, metrics: &Metrics) {
    let reaper = Reaper::new(store, settings.redis.namespace.clone(), compose::reaper(settings));
    let (drain, passes) = (parts.drain(), metrics.reaper_passes.clone());
    parts.spawn(async move {
        reaper.run(drain, || passes.inc()).await;
        Ok(())
    });
}

/// Holds the segments of a directory; with Redis upstream, folds there too.
fn watch(
    parts: &mut Parts,
    directory: SegmentDirectory,
    lock: AgentLock,
    store: Arc<dyn Store>,
    settings: &Settings,
    metrics: &Metrics,
) -> Result<(), ServerError> {
    let targets = compose::targets(store, settings, metrics)?;
    if let Some(upstream) = targets.upstream_store {
        reap(parts, upstream, settings, metrics);
    }
    let agent = Agent::new(directory, lock, targets.all, compose::agent(settings));
    let (status, metrics) = (agent.status(), metrics.clone());
    let drain = parts.drain();
    parts.spawn(async move {
        tokio::select! {
            ended = agent.run(drain) => ended?,
            () = compose::count_segments(status, metrics) => {}
        }
        tracing::info!("the agent has let its segment directory go: drained or idle");
        Ok(())
    });
    Ok(())
}

async fn router(
    role: Role,
    store: Arc<dyn Store>,
    settings: &Settings,
    metrics: Metrics,
    own: Registry,
) -> axum::Router {
    let exporter = Exporter::new(store.clone(), compose::exporter(settings), metrics);
    let pages = match role.shows_view() {
        true => metrifold_exporter::build(exporter, own),
        false => metrifold_exporter::operations(exporter, own),
    };
    match role.takes_pushes() {
        true => {
            let routes = metrifold_collector::ingest(store, settings.redis.namespace.clone()).await;
            // gRPC's own fallback would answer any unknown page with 200; its clients take 404 for "unimplemented".
            routes
                .into_axum_router()
                .merge(pages)
                .fallback(async || (StatusCode::NOT_FOUND, "no such page\n"))
        }
        false => pages,
    }
}

fn announce(role: Role, address: SocketAddr, settings: &Settings) {
    let socket = settings.http.unix_socket.as_ref();
    let socket = socket.map(|path| format!(" and unix:{}", path.display())).unwrap_or_default();
    tracing::info!(?role, "listening on http://{address}{socket}");
    say(&format!("listening on http://{address}{socket}"));
}
