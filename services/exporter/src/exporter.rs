//! One view per namespace, read when it is asked for.

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::body::Bytes;
use futures::FutureExt;
use metrifold_model::{LabelNames, Namespace};
use metrifold_store::Store;
use metrifold_telemetry::Metrics;
use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};

use crate::{
    ExporterSettings, ScrapeError,
    flight::SharedReads,
    pages::{PageKey, Pages},
    query::ScrapeQuery,
    reader::Reader,
};

type Read = Result<Arc<Pages>, ScrapeError>;

/// Serves merged views of a store.
pub struct Exporter {
    pub(crate) settings: ExporterSettings,
    pub(crate) metrics: Metrics,
    store: Arc<dyn Store>,
    /// Whether the store has what was there when the server started.
    has_caught_up: watch::Receiver<bool>,
    /// One entry per namespace that was asked for and exists, and set of labels that it may be grouped by: bounded by
    /// what the store holds and the settings allow.
    views: Mutex<HashMap<ViewKey, Arc<Shown>>>,
}

/// Which view: of a namespace, keeping these labels of workers.
#[derive(Clone, PartialEq, Eq, Hash)]
struct ViewKey {
    namespace: Namespace,
    group_by: LabelNames,
}

/// The views of one kind, one after the other.
struct Shown {
    reader: Arc<Reader>,
    reads: SharedReads<Read>,
    /// The last view and when it was read, if it may be shown again.
    last: Mutex<Option<(Instant, Arc<Pages>)>>,
}

impl Exporter {
    /// Reads from `store`, counts in `metrics`.
    pub fn new(store: Arc<dyn Store>, settings: ExporterSettings, metrics: Metrics) -> Arc<Exporter> {
        Exporter::after(watch::channel(true).1, store, settings, metrics)
    }

    /// As [`Exporter::new`], but shows nothing until `has_caught_up`: what outlived the server, such as files, must be in
    /// the store again, lest a view show less than the one before.
    pub fn after(
        has_caught_up: watch::Receiver<bool>,
        store: Arc<dyn Store>,
        settings: ExporterSettings,
        metrics: Metrics,
    ) -> Arc<Exporter> {
        Arc::new(Exporter { settings, metrics, store, has_caught_up, views: Mutex::default() })
    }

    /// The view that `query` asks for, whole, from a read that began after this call.
    ///
    /// # Errors
    /// If there is no such namespace, it cannot be grouped so, or its view cannot be shown now.
    pub(crate) async fn scrape(&self, query: &ScrapeQuery) -> Read {
        let group_by = self.group_by(query)?;
        let namespace = match query.namespace.as_deref() {
            Some(name) if name != self.settings.namespace.as_str() => self.existing(name).await?,
            _ => self.settings.namespace.clone(),
        };
        // Whoever would have said so may be gone, with the server.
        let _ = self.has_caught_up.clone().wait_for(|has_caught_up| *has_caught_up).await;
        let shown = self.view(ViewKey { namespace, group_by });
        let pages = shown.reads.next().await.unwrap_or(Err(ScrapeError::Broken))?;
        if self.settings.serve_stale.is_some() {
            *shown.last.lock() = Some((Instant::now(), pages.clone()));
        }
        Ok(pages)
    }

    /// Whether the store answers within the time of a scrape and the default namespace could be shown now. Shows nothing:
    /// the last view stays the last one.
    ///
    /// # Errors
    /// The reason why not.
    pub async fn check(&self) -> Result<(), ScrapeError> {
        if !*self.has_caught_up.borrow() {
            return Err(ScrapeError::CatchingUp);
        }
        let limit = self.settings.scrape_timeout;
        let checked = tokio::time::timeout(limit, self.check_store()).await;
        checked.unwrap_or_else(|_| Err(self.late(limit)))
    }

    async fn check_store(&self) -> Result<(), ScrapeError> {
        self.store.check().await.map_err(|error| ScrapeError::Unreadable(error.to_string()))?;
        let default =
            ViewKey { namespace: self.settings.namespace.clone(), group_by: self.settings.group_by.clone() };
        let reader = self.view(default).reader.clone();
        reader.check().await
    }

    /// Why there is no answer within `limit`.
    pub(crate) fn late(&self, limit: Duration) -> ScrapeError {
        match *self.has_caught_up.borrow() {
            true => ScrapeError::Deadline(limit),
            false => ScrapeError::CatchingUp,
        }
    }

    /// A namespace's whole view as text 0.0.4, from a read that began after this call.
    ///
    /// # Errors
    /// If there is no such namespace, or its view cannot be shown now.
    pub async fn text(&self, namespace: Option<&str>) -> Result<Bytes, ScrapeError> {
        let query = ScrapeQuery { namespace: namespace.map(String::from), ..ScrapeQuery::default() };
        self.scrape(&query).await?.plain(PageKey::default()).await
    }

    /// The last view that `query` asks for with its age, if that is not above `exporter.serve_stale`.
    pub(crate) fn stale(&self, query: &ScrapeQuery) -> Option<(Duration, Arc<Pages>)> {
        let limit = self.settings.serve_stale?;
        let namespace = match query.namespace.as_deref() {
            Some(name) => Namespace::new(name).ok()?,
            None => self.settings.namespace.clone(),
        };
        let key = ViewKey { namespace, group_by: self.group_by(query).ok()? };
        let shown = self.views.lock().get(&key).cloned()?;
        let (read, pages) = shown.last.lock().clone()?;
        let age = read.elapsed();
        (age <= limit).then_some((age, pages))
    }

    /// The labels of workers that the view is to keep.
    fn group_by(&self, query: &ScrapeQuery) -> Result<LabelNames, ScrapeError> {
        let Some(asked) = &query.group_by else { return Ok(self.settings.group_by.clone()) };
        let allowed = &self.settings.archive_labels;
        match asked.iter().find(|name| !allowed.contains(name)) {
            Some(given) => {
                Err(ScrapeError::NotArchived { given: given.to_owned(), allowed: allowed.clone() })
            }
            None => Ok(asked.clone()),
        }
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

    fn view(&self, key: ViewKey) -> Arc<Shown> {
        let mut views = self.views.lock();
        let view = views.entry(key).or_insert_with_key(|key| {
            let reader = Reader::new(
                self.store.clone(),
                key.namespace.clone(),
                key.group_by.clone(),
                self.settings.clone(),
                self.metrics.clone(),
            );
            let reader = Arc::new(reader);
            let shared = reader.clone();
            let reads = SharedReads::new(move || shared.clone().read().boxed());
            Arc::new(Shown { reader, reads, last: Mutex::default() })
        });
        view.clone()
    }
}
