//! The JSON interface: status, workers, families, history, service discovery.
//!
//! All of it is read from what this server has seen of its store anyway, so no request costs the store anything. Lists
//! are bounded ([`bounds`]) and paged by `offset` and `limit`; `?namespace=` chooses the namespace. Durations are in
//! seconds, counts of pushes and scrapes since the server started. Fields may be added; none is renamed or dropped
//! within `v1`.

pub(crate) mod bounds;
mod discovery;
mod error;
mod families;
mod history;
mod query;
mod status;
mod workers;

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::get};

use crate::Console;

/// `/api/v1/…`, and `/sd` where there is a view to scrape.
pub(crate) fn routes(console: Arc<Console>) -> Router {
    let api = Router::new()
        .route("/api/v1/status", get(status::status))
        .route("/api/v1/workers", get(workers::workers))
        .route("/api/v1/families", get(families::families))
        .route("/api/v1/history", get(history::history));
    let shows_view = console.identity.shows_view;
    let api = if shows_view { api.route("/sd", get(discovery::discovery)) } else { api };
    api.with_state(console)
}

/// Seconds to the millisecond, as JSON shows them.
fn seconds(span: Duration) -> f64 {
    span.as_millis() as f64 / 1_000.0
}
