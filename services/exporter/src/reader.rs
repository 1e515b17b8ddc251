//! One read of a namespace: shards, merge, and whether the result may be shown.

use std::sync::Arc;

use futures::future::try_join_all;
use metrifold_merge::{Conflict, MergeOptions, Merger, View, merge};
use metrifold_model::{LabelNames, Namespace};
use metrifold_session::{Part, Serving, Settling, ShardSnapshot, SourceState, count_states};
use metrifold_store::{ShardIndex, Store, StoreError};
use metrifold_telemetry::Metrics;
use parking_lot::Mutex;

use crate::{ExporterSettings, ScrapeError, floor, own, pages::Pages, press::Press};

/// Reads one namespace and remembers what it showed last.
pub(crate) struct Reader {
    store: Arc<dyn Store>,
    namespace: Namespace,
    /// Own metrics and log are about the view that a scrape gets if it asks for no other.
    is_reported: bool,
    options: MergeOptions,
    settings: ExporterSettings,
    metrics: Metrics,
    press: Arc<Press>,
    last: Mutex<LastView>,
}

#[derive(Default)]
struct LastView {
    settling: Settling,
    view: Option<Arc<View>>,
    merger: Merger,
}

impl Reader {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        namespace: Namespace,
        group_by: LabelNames,
        settings: ExporterSettings,
        metrics: Metrics,
    ) -> Reader {
        let is_reported = group_by == settings.group_by;
        let options = MergeOptions { group_by, ..merge_options(&settings) };
        let last = LastView { merger: Merger::new(options.clone()), ..LastView::default() };
        Reader {
            store,
            namespace,
            is_reported,
            options,
            settings,
            metrics,
            press: Arc::default(),
            last: Mutex::new(last),
        }
    }

    /// Reads and merges. Never called twice at once.
    pub(crate) async fn read(self: Arc<Self>) -> Result<Arc<Pages>, ScrapeError> {
        let shards = self.shards().await.map_err(|error| ScrapeError::Unreadable(error.to_string()))?;
        self.show(&shards)
    }

    /// Whether a read that begins now could be shown.
    pub(crate) async fn check(&self) -> Result<(), ScrapeError> {
        let shards = self.shards().await.map_err(|error| ScrapeError::Unreadable(error.to_string()))?;
        self.count_sources(&shards);
        let (serving, former) = {
            let last = self.last.lock();
            (self.serving(&last.settling, &shards)?, last.view.clone())
        };
        match former.filter(|_| serving == Serving::IfNotBelow) {
            Some(former) => self.fallen(&former, &merge(&shards, &self.options)).map_or(Ok(()), Err),
            None => Ok(()),
        }
    }

    async fn shards(&self) -> Result<Vec<Arc<ShardSnapshot>>, StoreError> {
        let count = self.store.shards(&self.namespace).await?;
        let read = (0..count).map(|shard| self.store.snapshot(&self.namespace, ShardIndex(shard)));
        let shards = try_join_all(read).await?;
        match shards.iter().find_map(|shard| shard.unreadable_archive()) {
            Some(reason) => Err(StoreError::Corrupt(format!("{}: {reason}", Part::Archive))),
            None => Ok(shards),
        }
    }

    fn show(&self, shards: &[Arc<ShardSnapshot>]) -> Result<Arc<Pages>, ScrapeError> {
        self.count_sources(shards);
        let mut last = self.last.lock();
        let serving = self.serving(&last.settling, shards)?;
        let view = Arc::new(last.merger.merge(shards));
        self.compare(serving, last.view.as_deref(), &view)?;
        if self.is_reported {
            self.report(&view, last.view.as_deref());
        }
        for (shard, snapshot) in (0..).zip(shards) {
            last.settling.served(shard, snapshot, self.settings.ttl);
        }
        last.view = Some(view.clone());
        let shown = match &self.settings.own_metrics {
            Some(registry) => Arc::new(own::with_own(&view, registry)),
            None => view,
        };
        Ok(Arc::new(Pages::new(shown, self.press.clone())))
    }

    /// The worst of all shards, if that allows a view at all.
    fn serving(&self, settling: &Settling, shards: &[Arc<ShardSnapshot>]) -> Result<Serving, ScrapeError> {
        let mut worst = Serving::Now;
        for (shard, snapshot) in (0..).zip(shards) {
            let serving = settling.check(shard, snapshot, self.settings.settle, self.settings.ttl);
            if serving == Serving::Sealed {
                return Err(ScrapeError::Sealed { namespace: self.namespace.clone(), shard });
            }
            worst = worst.max(serving);
        }
        match worst {
            Serving::Waiting => {
                Err(self.settling("not every source of the last view has pushed again".into()))
            }
            other => Ok(other),
        }
    }

    /// After a restore, no counter may be below the last view, until the time for something better is over.
    fn compare(&self, serving: Serving, last: Option<&View>, view: &View) -> Result<(), ScrapeError> {
        let Some(last) = last.filter(|_| serving != Serving::Now) else { return Ok(()) };
        if serving == Serving::IfNotBelow {
            return self.fallen(last, view).map_or(Ok(()), Err);
        }
        let Some(below) = floor::below(last, view) else { return Ok(()) };
        self.metrics.view_resets.with_label_values(&[self.namespace.as_str()]).inc();
        tracing::error!(
            namespace = %self.namespace,
            series = %below,
            "the store came back without what it had held, and nobody brought it back within store.settle: counters reset"
        );
        Ok(())
    }

    /// Why `view` must wait, if a counter in it is below `former`.
    fn fallen(&self, former: &View, view: &View) -> Option<ScrapeError> {
        let below = floor::below(former, view)?;
        Some(self.settling(format!("{below} is still below the last view")))
    }

    fn settling(&self, reason: String) -> ScrapeError {
        ScrapeError::Settling { namespace: self.namespace.clone(), reason }
    }

    /// Sets the gauges about the view, and logs each conflict when it appears.
    fn report(&self, view: &View, former: Option<&View>) {
        let label = [self.namespace.as_str()];
        let samples = view.families.iter().map(|family| family.series.len()).sum();
        self.metrics.samples.with_label_values(&label).set(gauge_value(samples));
        self.metrics.conflicts.with_label_values(&label).set(gauge_value(view.conflicts.len()));
        let known: &[Conflict] = former.map_or(&[], |former| &former.conflicts);
        let is_known = |conflict: &&Conflict| {
            known.binary_search_by(|other| other.cause().cmp(&conflict.cause())).is_ok()
        };
        for conflict in view.conflicts.iter().filter(|conflict| !is_known(conflict)) {
            tracing::warn!(namespace = %self.namespace, %conflict, "samples are left out of the view");
        }
    }

    fn count_sources(&self, shards: &[Arc<ShardSnapshot>]) {
        let mut counts = [0; SourceState::ALL.len()];
        for shard in shards {
            let of_shard = count_states(shard, self.settings.ttl);
            counts.iter_mut().zip(of_shard).for_each(|(sum, count)| *sum += count);
        }
        for (state, count) in SourceState::ALL.into_iter().zip(counts) {
            let gauge = self.metrics.sources.with_label_values(&[self.namespace.as_str(), state.name()]);
            gauge.set(gauge_value(count));
        }
    }
}

/// How a namespace is merged under these settings, across all workers.
pub fn merge_options(settings: &ExporterSettings) -> MergeOptions {
    MergeOptions {
        ttl: settings.ttl,
        gauge_retention: settings.gauge_retention,
        host_label: settings.host_label,
        per_worker_labels: settings.per_worker_labels.clone(),
        group_by: LabelNames::default(),
    }
}

fn gauge_value(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
