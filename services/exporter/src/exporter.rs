//! One view per namespace, read when it is asked for.

use std::{collections::HashMap, sync::Arc};

use axum::body::Bytes;
use futures::FutureExt;
use metrifold_model::Namespace;
use metrifold_store::Store;
use metrifold_telemetry::Metrics;
use parking_lot::Mutex;

use crate::{ExporterSettings, ScrapeError, flight::SharedReads, reader::Reader};

type Page = Result<Bytes, ScrapeError>;

/// Serves merged views of a store.
pub struct Exporter {
    pub(crate) settings: ExporterSettings,
    pub(crate) metrics: Metrics,
    store: Arc<dyn Store>,
    /// One entry per namespace that was asked for and exists, so bounded by what the store holds.
    views: Mutex<HashMap<Namespace, Arc<SharedReads<Page>>>>,
}

impl Exporter {
    /// Reads from `store`, counts in `metrics`.
    pub fn new(store: Arc<dyn Store>, settings: ExporterSettings, metrics: Metrics) -> Arc<Exporter> {
        Arc::new(Exporter { settings, metrics, store, views: Mutex::default() })
    }

    /// The text of a namespace's view, from a read that began after this call.
    ///
    /// # Errors
    /// If there is no such namespace, or its view cannot be shown now.
    pub async fn scrape(&self, namespace: Option<&str>) -> Page {
        let namespace = match namespace {
            Some(name) if name != self.settings.namespace.as_str() => self.existing(name).await?,
            _ => self.settings.namespace.clone(),
        };
        let view = self.view(namespace);
        view.next().await.unwrap_or(Err(ScrapeError::Broken))
    }

    /// Whether the store answers and the default namespace could be shown now.
    ///
    /// # Errors
    /// The reason why not.
    pub async fn check(&self) -> Result<(), ScrapeError> {
        self.store.check().await.map_err(|error| ScrapeError::Unreadable(error.to_string()))?;
        self.scrape(None).await.map(drop)
    }

    async fn existing(&self, name: &str) -> Result<Namespace, ScrapeError> {
        let known = self.store.namespaces().await;
        let known = known.map_err(|error| ScrapeError::Unreadable(error.to_string()))?;
        known.iter().find(|known| known.as_str() == name).cloned().ok_or_else(|| {
            ScrapeError::UnknownNamespace {
                given: name.to_owned(),
                known: known.iter().map(Namespace::to_string).collect(),
            }
        })
    }

    fn view(&self, namespace: Namespace) -> Arc<SharedReads<Page>> {
        let mut views = self.views.lock();
        let view = views.entry(namespace).or_insert_with_key(|namespace| {
            let reader = Reader::new(
                self.store.clone(),
                namespace.clone(),
                self.settings.clone(),
                self.metrics.clone(),
            );
            let reader = Arc::new(reader);
            Arc::new(SharedReads::new(move || reader.clone().read().boxed()))
        });
        view.clone()
    }
}
