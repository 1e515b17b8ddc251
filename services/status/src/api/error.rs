//! Why a question is not answered.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;

/// An answer other than 200, as `{"error": "…"}`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("there is no namespace {given:?}; known: {}", known.join(", "))]
    UnknownNamespace { given: String, known: Vec<String> },
    #[error("{0}")]
    Query(String),
    #[error("the store has not been read yet{}", reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default())]
    Unread { reason: Option<String> },
    #[error("the answer broke inside the server; see its log")]
    Broken,
}

#[derive(Serialize)]
struct Body {
    error: String,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = match self {
            ApiError::UnknownNamespace { .. } => StatusCode::NOT_FOUND,
            ApiError::Query(_) => StatusCode::BAD_REQUEST,
            ApiError::Unread { .. } => StatusCode::SERVICE_UNAVAILABLE,
            ApiError::Broken => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(Body { error: self.to_string() })).into_response()
    }
}
