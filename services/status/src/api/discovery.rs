//! `/sd`: Prometheus's HTTP service discovery, one target per namespace.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderMap, Uri, header, uri::Scheme},
};
use metrifold_model::Namespace;
use serde::Serialize;

use super::error::ApiError;
use crate::Console;

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct TargetGroup {
    targets: Vec<String>,
    labels: BTreeMap<&'static str, String>,
}

/// This server once per namespace, under the address and scheme that the question came to: whoever reached it there can
/// scrape it there. Until the namespaces are known the answer is an error, so that Prometheus keeps the list it has.
pub(super) async fn discovery(
    State(console): State<Arc<Console>>,
    scheme: Option<Extension<Scheme>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<Vec<TargetGroup>>, ApiError> {
    let namespaces = console.observed.namespaces().ok_or_else(|| {
        let seen = console.observed.of(&console.settings.namespace);
        ApiError::Unread { reason: seen.and_then(|seen| seen.trouble).map(|trouble| trouble.reason) }
    })?;
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    // HTTP/2 says it in the address.
    let host = host.or(uri.authority().map(|authority| authority.as_str()));
    let host =
        host.ok_or_else(|| ApiError::Query("the request has no Host header to build targets from".into()))?;
    Ok(Json(targets(host, scheme.as_deref(), &namespaces)))
}

fn targets(host: &str, scheme: Option<&Scheme>, namespaces: &[Namespace]) -> Vec<TargetGroup> {
    // Of plain HTTP nothing is said: a proxy in front may speak TLS, as the job's own `scheme` then says.
    let scheme = scheme.filter(|scheme| **scheme == Scheme::HTTPS);
    let group = |namespace: &Namespace| {
        let mut labels = BTreeMap::from([
            ("__param_namespace", namespace.to_string()),
            ("__meta_metrifold_namespace", namespace.to_string()),
        ]);
        labels.extend(scheme.map(|scheme| ("__scheme__", scheme.to_string())));
        TargetGroup { targets: vec![host.to_owned()], labels }
    };
    namespaces.iter().map(group).collect()
}
