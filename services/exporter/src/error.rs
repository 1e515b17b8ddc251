//! Why a scrape gets no view.

use std::time::Duration;

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use metrifold_model::Namespace;

/// A reason to answer 503 (or 404) instead of a view that would not keep the promises.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScrapeError {
    /// The store cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// A shard is closed.
    #[error(
        "shard {shard} of namespace {namespace} is sealed: its store is new or came back; a server role has to restore it"
    )]
    Sealed {
        /// The namespace.
        namespace: Namespace,
        /// The shard's number.
        shard: u16,
    },
    /// The store came back, and showing it now could let a counter fall.
    #[error("namespace {namespace} is settling after its store came back: {reason}")]
    Settling {
        /// The namespace.
        namespace: Namespace,
        /// What is waited for.
        reason: String,
    },
    /// The scrape's time is over.
    #[error("no read of the store ended within {}", humantime::format_duration(*.0))]
    Deadline(Duration),
    /// The read broke; the log has the cause.
    #[error("the read failed inside the exporter; see its log")]
    Broken,
    /// There is no such namespace.
    #[error("there is no namespace {given:?}; known: {}", known.join(", "))]
    UnknownNamespace {
        /// What was asked for.
        given: String,
        /// What there is.
        known: Vec<String>,
    },
}

impl ScrapeError {
    /// The label `result` of the scrape counter.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            ScrapeError::Unreadable(_) => "unreadable",
            ScrapeError::Sealed { .. } => "sealed",
            ScrapeError::Settling { .. } => "settling",
            ScrapeError::Deadline(_) => "deadline",
            ScrapeError::Broken => "broken",
            ScrapeError::UnknownNamespace { .. } => "unknown_namespace",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            ScrapeError::UnknownNamespace { .. } => StatusCode::NOT_FOUND,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl IntoResponse for ScrapeError {
    fn into_response(self) -> Response {
        (self.status(), format!("{self}\n")).into_response()
    }
}
