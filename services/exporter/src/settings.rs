//! What an exporter is told.

use std::time::Duration;

use metrifold_model::{LabelNames, Namespace};
use prometheus::Registry;

/// Settings of an exporter.
#[derive(Clone, Debug)]
pub struct ExporterSettings {
    /// Served where a scrape does not name one. Default `metrifold`.
    pub namespace: Namespace,
    /// Longest time that a scrape may take; Prometheus's own time-out counts if it is shorter. Default 10 s.
    pub scrape_timeout: Duration,
    /// How long a view waits for the sources of the one before after the store came back. Default 3 s.
    pub settle: Duration,
    /// Time after the last push at which a source counts as dead; `None`: only explicit ends count. Default 300 s.
    pub ttl: Option<Duration>,
    /// How long a dead worker's own gauge series are shown. Default 300 s.
    pub gauge_retention: Duration,
    /// Whether per-worker series carry the label `host` besides `pid`. Default false.
    pub host_label: bool,
    /// Series with any of these labels end with their worker. Default none.
    pub per_worker_labels: LabelNames,
    /// Labels of workers that folding keeps, and that views may therefore be grouped by. Default none.
    pub archive_labels: LabelNames,
    /// Labels of workers that the view keeps where a scrape does not name any. Default none.
    pub group_by: LabelNames,
    /// How old the last view may be that is shown where there can be no new one; `None`: there is none then. For a single
    /// exporter: of several, each would show another. Default none.
    pub serve_stale: Option<Duration>,
    /// This process's own metrics that `/metrics` is to show too. Default none: of several exporters, each has its own.
    pub own_metrics: Option<OwnMetrics>,
}

/// Metrics of this process among those of the workers.
#[derive(Clone, Debug)]
pub struct OwnMetrics {
    /// Where they are.
    pub registry: Registry,
    /// What the names of those begin with that are shown.
    pub prefixes: Vec<&'static str>,
}

impl Default for ExporterSettings {
    fn default() -> Self {
        ExporterSettings {
            namespace: Namespace::default(),
            scrape_timeout: Duration::from_secs(10),
            settle: Duration::from_secs(3),
            ttl: Some(Duration::from_secs(300)),
            gauge_retention: Duration::from_secs(300),
            host_label: false,
            per_worker_labels: LabelNames::default(),
            archive_labels: LabelNames::default(),
            group_by: LabelNames::default(),
            serve_stale: None,
            own_metrics: None,
        }
    }
}
