//! What a merge is told.

use std::time::Duration;

use metrifold_model::LabelNames;

/// The settings of a merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeOptions {
    /// Time after the last push at which a source counts as dead; `None`: only explicit ends count. Default 300 s.
    pub ttl: Option<Duration>,
    /// How long a folded worker's own gauge series (mode `all`) are shown, on the archive's age clock. Default 300 s.
    pub gauge_retention: Duration,
    /// Whether per-worker series carry the label `host` besides `pid`. Default false.
    pub host_label: bool,
    /// Series with any of these labels end with their worker. Default none.
    pub per_worker_labels: LabelNames,
    /// Labels of workers that are kept instead of merged across. Of workers that are folded only those are known that
    /// the archive keeps ([`ArchivePolicy::archive_labels`](metrifold_session::ArchivePolicy::archive_labels)). A
    /// series' own label of that name stands before its worker's. Default none.
    pub group_by: LabelNames,
}

impl Default for MergeOptions {
    fn default() -> Self {
        let retention = Duration::from_secs(300);
        MergeOptions {
            ttl: Some(retention),
            gauge_retention: retention,
            host_label: false,
            per_worker_labels: LabelNames::default(),
            group_by: LabelNames::default(),
        }
    }
}
