//! The routes.

use std::{sync::Arc, time::Instant};

use axum::{
    Router,
    extract::{Query, State},
    http::{HeaderMap, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use metrifold_exposition::CONTENT_TYPE_TEXT;
use prometheus::{Encoder, Registry, TextEncoder};
use serde::Deserialize;

use crate::{Exporter, ScrapeError, deadline::deadline};

/// All routes of a server that shows the merged view: those of [`operations`] and `GET /metrics`.
///
/// `/metrics?namespace=` shows another namespace than the default one; an unknown one is answered with 404 and the
/// list of those that exist. HEAD works everywhere.
pub fn build(exporter: Arc<Exporter>, own: Registry) -> Router {
    operations(exporter.clone(), own)
        .merge(Router::new().route("/metrics", get(metrics)).with_state(exporter))
}

/// Routes of every server: `/`, `/-/healthy`, `/-/ready`, and `/-/metrics` for the `own` metrics.
pub fn operations(exporter: Arc<Exporter>, own: Registry) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/-/healthy", get(async || "healthy\n"))
        .route("/-/ready", get(ready).with_state(exporter))
        .route("/-/metrics", get(own_metrics).with_state(own))
}

#[derive(Debug, Deserialize)]
struct MetricsQuery {
    namespace: Option<String>,
}

async fn metrics(
    State(exporter): State<Arc<Exporter>>,
    Query(query): Query<MetricsQuery>,
    headers: HeaderMap,
) -> Response {
    let arrived = Instant::now();
    let limit = deadline(&headers, exporter.settings.scrape_timeout);
    let scraped = tokio::time::timeout(limit, exporter.scrape(query.namespace.as_deref())).await;
    let scraped = scraped.unwrap_or(Err(ScrapeError::Deadline(limit)));
    let result = scraped.as_ref().map_or_else(ScrapeError::name, |_| "ok");
    exporter.metrics.scrapes.with_label_values(&[result]).inc();
    exporter.metrics.scrape_duration.observe(arrived.elapsed().as_secs_f64());
    match scraped {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE_TEXT)], text).into_response(),
        Err(error) => {
            tracing::warn!(%error, "a scrape was not answered");
            error.into_response()
        }
    }
}

/// Ready means that a scrape would be answered now.
async fn ready(State(exporter): State<Arc<Exporter>>) -> Response {
    let limit = exporter.settings.scrape_timeout;
    match tokio::time::timeout(limit, exporter.check()).await.unwrap_or(Err(ScrapeError::Deadline(limit))) {
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

async fn index() -> Html<&'static str> {
    Html(
        "<!doctype html><title>Metrifold</title><h1>Metrifold</h1><ul>\
         <li><a href=\"/metrics\">/metrics</a> the merged view of all workers</li>\
         <li><a href=\"/-/ready\">/-/ready</a> whether it can be served now</li>\
         <li><a href=\"/-/healthy\">/-/healthy</a> whether this process answers</li>\
         <li><a href=\"/-/metrics\">/-/metrics</a> metrics of this process itself</li></ul>\n",
    )
}
