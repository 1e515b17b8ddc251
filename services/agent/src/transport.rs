//! Pushes into a store.

use std::sync::Arc;

use async_trait::async_trait;
use metrifold_model::Namespace;
use metrifold_push::{Transport, Unanswered};
use metrifold_session::{Answer, Push};
use metrifold_store::Store;
use metrifold_telemetry::push_span;
use tracing::Instrument;
use xxhash_rust::xxh3::xxh3_64;

/// The id under which what a target was sent stands in a segment or a ledger; never 0.
pub(crate) fn id(transport: &dyn Transport) -> u64 {
    xxh3_64(transport.name().as_bytes()).max(1)
}

/// A store in this process, or one that this process reaches itself.
pub struct StoreTransport {
    name: String,
    store: Arc<dyn Store>,
}

impl StoreTransport {
    /// Pushes to `store`, which `name` tells apart from the agent's other target.
    pub fn new(name: impl Into<String>, store: Arc<dyn Store>) -> Self {
        StoreTransport { name: name.into(), store }
    }
}

#[async_trait]
impl Transport for StoreTransport {
    fn name(&self) -> &str {
        &self.name
    }

    async fn push(&self, namespace: &Namespace, push: &Push) -> Result<Answer, Unanswered> {
        let pushed = self.store.push(namespace, push).instrument(push_span()).await;
        pushed.map_err(|error| Unanswered::because(&error))
    }
}
