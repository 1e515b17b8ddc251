//! Why a scrape gets no view.

use std::time::Duration;

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use metrifold_model::{LabelNames, Namespace};

/// A reason to answer 503 (or 400, or 404) instead of a view that would not keep the promises.
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
    /// The server has just started and does not have everything yet that was there.
    #[error("this server has just started: what was in its directory is still on its way into the store")]
    CatchingUp,
    /// The scrape's time is over.
    #[error("no read of the store led to an answer within {}", humantime::format_duration(*.0))]
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
    /// Counters by a label that folding does not keep would fall when workers end.
    #[error("a view cannot be grouped by {given:?}: {}", allowed_groups(allowed))]
    NotArchived {
        /// What was asked for.
        given: String,
        /// The setting `workers.archive_labels`.
        allowed: LabelNames,
    },
}

fn allowed_groups(allowed: &LabelNames) -> String {
    let allowed: Vec<_> = allowed.iter().collect();
    let reason = "only the labels of workers in workers.archive_labels survive their workers";
    match allowed.is_empty() {
        true => format!("{reason}, and it is empty"),
        false => format!("{reason}, which are {}", allowed.join(", ")),
    }
}

impl ScrapeError {
    /// The label `result` of the scrape counter.
    pub fn name(&self) -> &'static str {
        match self {
            ScrapeError::Unreadable(_) => "unreadable",
            ScrapeError::Sealed { .. } => "sealed",
            ScrapeError::Settling { .. } => "settling",
            ScrapeError::CatchingUp => "catching_up",
            ScrapeError::Deadline(_) => "deadline",
            ScrapeError::Broken => "broken",
            ScrapeError::UnknownNamespace { .. } => "unknown_namespace",
            ScrapeError::NotArchived { .. } => "not_archived",
        }
    }

    /// Whether there can be a view again without anybody asking otherwise.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            ScrapeError::Unreadable(_)
            | ScrapeError::Sealed { .. }
            | ScrapeError::Settling { .. }
            | ScrapeError::CatchingUp
            | ScrapeError::Deadline(_)
            | ScrapeError::Broken => true,
            ScrapeError::UnknownNamespace { .. } | ScrapeError::NotArchived { .. } => false,
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            ScrapeError::Unreadable(_) => {
                "see why the store cannot be read: its address, its health, the server's log"
            }
            ScrapeError::Sealed { .. } => {
                "run a collector, or `metrifold serve`: it opens the shard within some seconds. An exporter opens only what \
                 somebody has pushed into: is the namespace's name right?"
            }
            ScrapeError::Settling { .. } | ScrapeError::CatchingUp => "wait; it passes by itself",
            ScrapeError::Deadline(_) => {
                "give a scrape more time (scrape_timeout of the job, exporter.scrape_timeout), or the store less to do"
            }
            ScrapeError::Broken => "report it with the log: this is a defect",
            ScrapeError::UnknownNamespace { .. } => "ask for one that there is, or start its workers",
            ScrapeError::NotArchived { .. } => {
                "name the label in workers.archive_labels, or do not group by it"
            }
        }
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            ScrapeError::UnknownNamespace { .. } => StatusCode::NOT_FOUND,
            ScrapeError::NotArchived { .. } => StatusCode::BAD_REQUEST,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl IntoResponse for ScrapeError {
    fn into_response(self) -> Response {
        (self.status(), format!("{self}\n")).into_response()
    }
}
