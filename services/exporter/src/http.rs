//! The routes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};
use metrifold_exposition::{negotiate, negotiate_coding};

use crate::{
    Exporter, ScrapeError,
    deadline::deadline,
    pages::{PageKey, Pages},
    query::ScrapeQuery,
};

/// `GET /metrics`.
///
/// `?namespace=` shows another namespace than the default one; an unknown one is answered with 404 and the list of those
/// that exist. `?group_by=` keeps labels of workers; one that `workers.archive_labels` does not name is answered with 400.
/// `?name[]=` shows samples and families of these names alone. Format, scheme for names and compression are negotiated.
/// HEAD works as well.
pub fn build(exporter: Arc<Exporter>) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(exporter)
}

async fn metrics(
    State(exporter): State<Arc<Exporter>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let arrived = Instant::now();
    let query = ScrapeQuery::parse(query.as_deref().unwrap_or_default());
    let limit = deadline(&headers, exporter.settings.scrape_timeout);
    let answering = async {
        let pages = exporter.scrape(&query).await?;
        page(&pages, &query, &headers).await
    };
    let answer = tokio::time::timeout(limit, answering).await;
    let answer = answer.unwrap_or_else(|_| Err(exporter.late(limit)));
    let (result, answer) = match answer {
        Ok(answer) => ("ok", Ok(answer)),
        Err(error) => match exporter.stale(&query).filter(|_| error.is_passing()) {
            Some((age, pages)) => {
                tracing::warn!(%error, result = "stale", ?age, "a scrape was answered with the last view");
                ("stale", page(&pages, &query, &headers).await.map(|answer| aged(answer, age)))
            }
            None => (error.name(), Err(error)),
        },
    };
    let result = answer.as_ref().map_or_else(ScrapeError::name, |_| result);
    exporter.metrics.scrapes.with_label_values(&[result]).inc();
    exporter.metrics.scrape_duration.observe(arrived.elapsed().as_secs_f64());
    answer.unwrap_or_else(|error| {
        tracing::warn!(%error, result, "a scrape was not answered");
        error.into_response()
    })
}

/// The page that was asked for, in what its reader likes best.
async fn page(pages: &Pages, query: &ScrapeQuery, headers: &HeaderMap) -> Result<Response, ScrapeError> {
    let negotiated = negotiate(&joined(headers, header::ACCEPT));
    let coding = negotiate_coding(&joined(headers, header::ACCEPT_ENCODING));
    let key = PageKey { variant: negotiated.variant, names: query.names.clone() };
    let body = pages.body(key, coding).await?;
    let answer = Response::builder()
        .header(header::CONTENT_TYPE, negotiated.content_type())
        .header(header::VARY, "Accept, Accept-Encoding");
    let answer = match coding.name() {
        Some(name) => answer.header(header::CONTENT_ENCODING, name),
        None => answer,
    };
    answer.body(body).map_err(|_| ScrapeError::Broken)
}

/// Several headers of one name are one list.
fn joined(headers: &HeaderMap, name: HeaderName) -> String {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.collect::<Vec<_>>().join(",")
}

/// Says how old the answer is.
fn aged(mut answer: Response, age: Duration) -> Response {
    answer.headers_mut().insert(header::AGE, HeaderValue::from(age.as_secs()));
    answer
}
