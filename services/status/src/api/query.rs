//! What a question says: which namespace, which part of the list.

use std::{ops::Range, sync::Arc};

use axum::{
    extract::{FromRequestParts, Query, rejection::QueryRejection},
    http::request::Parts,
};
use metrifold_model::Namespace;
use serde::{Deserialize, de::DeserializeOwned};

use super::error::ApiError;
use crate::{Console, observed::ObservedNamespace};

/// The query of a request; one that cannot be read is answered with the reason as JSON.
pub(super) struct Asked<Q>(pub(super) Q);

impl<Q: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<Q> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::<Q>::from_request_parts(parts, state).await;
        query
            .map(|Query(query)| Asked(query))
            .map_err(|error: QueryRejection| ApiError::Query(error.body_text()))
    }
}

/// `?namespace=`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NamespaceQuery {
    pub(super) namespace: Option<String>,
}

/// The namespace that is asked for, and what is known of it.
pub(super) fn namespace(
    console: &Arc<Console>,
    asked: Option<&str>,
) -> Result<(Namespace, ObservedNamespace), ApiError> {
    let namespace = match asked {
        None => Some(console.settings.namespace.clone()),
        Some(name) => Namespace::new(name).ok(),
    };
    let seen = namespace.and_then(|namespace| console.observed.of(&namespace).map(|seen| (namespace, seen)));
    seen.ok_or_else(|| ApiError::UnknownNamespace {
        given: asked.unwrap_or_default().to_owned(),
        known: console.observed.namespaces().unwrap_or_default().iter().map(Namespace::to_string).collect(),
    })
}

/// As [`namespace`], for answers that make no sense before the first read.
pub(super) fn read_namespace(
    console: &Arc<Console>,
    asked: Option<&str>,
) -> Result<(Namespace, ObservedNamespace), ApiError> {
    let (namespace, seen) = namespace(console, asked)?;
    match seen.shards.is_empty() {
        true => Err(ApiError::Unread { reason: seen.trouble.map(|trouble| trouble.reason) }),
        false => Ok((namespace, seen)),
    }
}

/// `?offset=&limit=` within a list of `total`: the places that are shown.
pub(super) fn page(offset: Option<usize>, limit: usize, total: usize) -> Range<usize> {
    let start = offset.unwrap_or(0).min(total);
    start..start.saturating_add(limit).min(total)
}

/// A `limit` that is asked for, if it is allowed.
pub(super) fn limit(asked: Option<usize>, default: usize, max: usize) -> Result<usize, ApiError> {
    let limit = asked.unwrap_or(default);
    match limit <= max {
        true => Ok(limit),
        false => {
            Err(ApiError::Query(format!("limit={limit} is more than {max}; ask page by page with offset=")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_stay_within_the_list() {
        assert_eq!(page(None, 10, 25), 0..10);
        assert_eq!(page(Some(20), 10, 25), 20..25);
        assert_eq!(page(Some(90), 10, 25), 25..25);
        assert_eq!(page(Some(1), usize::MAX, 25), 1..25);
        assert_eq!(page(Some(3), 0, 25), 3..3);
    }

    #[test]
    fn a_limit_above_the_bound_is_refused_with_the_bound() {
        assert_eq!(limit(None, 10, 100), Ok(10));
        let error = limit(Some(101), 10, 100).expect_err("too much");
        assert!(error.to_string().contains("more than 100"), "{error}");
    }
}
