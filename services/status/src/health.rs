//! `/-/healthy`, `/-/ready` and `/-/metrics`.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};
use metrifold_exporter::Exporter;
use metrifold_exposition::CONTENT_TYPE_TEXT;
use prometheus::{Encoder, Registry, TextEncoder};

/// Routes of every server: `/-/healthy`, `/-/ready`, and `/-/metrics` for the `own` metrics.
pub fn health(exporter: Arc<Exporter>, own: Registry) -> Router {
    Router::new()
        .route("/-/healthy", get(async || "healthy\n"))
        .route("/-/ready", get(ready).with_state(exporter))
        .route("/-/metrics", get(own_metrics).with_state(own))
}

/// Ready means that a scrape would be answered now.
async fn ready(State(exporter): State<Arc<Exporter>>) -> Response {
    match exporter.check().await {
        Ok(()) => "ready\n".into_response(),
        Err(error) => error.into_response(),
    }
}

async fn own_metrics(State(own): State<Registry>) -> Response {
    let mut text = Vec::new();
    match TextEncoder::new().encode(&own.gather(), &mut text) {
        Ok(()) => ([(header::CONTENT_TYPE, CONTENT_TYPE_TEXT)], text).into_response(),
        Err(error) => (axum::http::StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
