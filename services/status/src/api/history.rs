//! `/api/v1/history`: the last quarter of an hour, for small plots.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Serialize;

use super::{
    error::ApiError,
    query::{self, Asked, NamespaceQuery},
    seconds,
};
use crate::{
    Console,
    observed::{HISTORY_INTERVAL, HISTORY_POINTS_MAX},
};

/// Columns of equal intervals, oldest first; all end now, and some may begin later than others.
#[derive(Serialize)]
pub(super) struct HistoryColumns {
    namespace: String,
    interval_seconds: f64,
    points_max: usize,
    /// Live workers of the namespace at the end of each interval.
    live: Vec<usize>,
    /// Workers of the namespace that began, ended, and were folded, in each interval.
    born: Vec<u64>,
    died: Vec<u64>,
    folded: Vec<u64>,
    /// What passed through this server, all namespaces, in each interval.
    pushes: Vec<u64>,
    pushes_refused: Vec<u64>,
    scrapes: Vec<u64>,
    scrapes_failed: Vec<u64>,
}

pub(super) async fn history(
    State(console): State<Arc<Console>>,
    Asked(query): Asked<NamespaceQuery>,
) -> Result<Json<HistoryColumns>, ApiError> {
    let (namespace, _) = query::namespace(&console, query.namespace.as_deref())?;
    let (lives, traffic) = console.observed.history(&namespace);
    Ok(Json(HistoryColumns {
        namespace: namespace.to_string(),
        interval_seconds: seconds(HISTORY_INTERVAL),
        points_max: HISTORY_POINTS_MAX,
        live: lives.iter().map(|point| point.live).collect(),
        born: lives.iter().map(|point| point.changes.born).collect(),
        died: lives.iter().map(|point| point.changes.died).collect(),
        folded: lives.iter().map(|point| point.changes.folded).collect(),
        pushes: traffic.iter().map(|point| point.pushes).collect(),
        pushes_refused: traffic.iter().map(|point| point.refused).collect(),
        scrapes: traffic.iter().map(|point| point.scrapes).collect(),
        scrapes_failed: traffic.iter().map(|point| point.scrapes_failed).collect(),
    }))
}
