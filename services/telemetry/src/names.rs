//! Every metric that a server exposes about itself at `/-/metrics`, with its help text.

/// Name, help and labels of one own metric.
#[derive(Clone, Copy, Debug)]
pub struct MetricName {
    /// The family's name.
    pub name: &'static str,
    /// What it counts.
    pub help: &'static str,
    /// Its label names.
    pub labels: &'static [&'static str],
}

const fn named(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> MetricName {
    MetricName { name, help, labels }
}

/// Pushes that reached the store.
pub const PUSHES: MetricName =
    named("metrifold_pushes_total", "Pushes that reached the store, by its answer.", &["answer"]);
/// Pushes refused for good.
pub const PUSHES_REFUSED: MetricName = named(
    "metrifold_pushes_refused_total",
    "Pushes refused for good, by the limit or rule that refused them.",
    &["reason"],
);
/// Sources folded.
pub const FOLDED: MetricName =
    named("metrifold_folded_sources_total", "Dead sources that this process folded into the archive.", &[]);
/// Tombstones trimmed.
pub const TRIMMED: MetricName = named(
    "metrifold_trimmed_tombstones_total",
    "Tombstones that this process dropped after their lifetime.",
    &[],
);
/// Commits lost to another reaper.
pub const COMMIT_CONFLICTS: MetricName = named(
    "metrifold_commit_conflicts_total",
    "Folds and trims not carried out because something had changed since it was read; they are decided anew.",
    &[],
);
/// Shards restored.
pub const RESTORES: MetricName = named(
    "metrifold_restores_total",
    "Shards that this process opened or restored after their store was new, emptied or rolled back.",
    &[],
);
/// Passes of the reaper.
pub const REAPER_PASSES: MetricName = named(
    "metrifold_reaper_passes_total",
    "Passes over all shards of the store that went without an error: dead sources are folded, and what the store holds \
     is remembered in case it loses it.",
    &[],
);
/// Store operations that failed.
pub const STORE_ERRORS: MetricName = named(
    "metrifold_store_errors_total",
    "Operations on the store that failed or were not answered in time.",
    &["operation"],
);
/// Scrapes.
pub const SCRAPES: MetricName =
    named("metrifold_scrapes_total", "Scrapes of the merged view, by result.", &["result"]);
/// Duration of scrapes.
pub const SCRAPE_DURATION: MetricName = named(
    "metrifold_scrape_duration_seconds",
    "Time from the arrival of a scrape of the merged view to its answer.",
    &[],
);
/// Sources in the store.
pub const SOURCES: MetricName = named(
    "metrifold_sources",
    "Sources in the store at the last read: live; dead and not folded yet; folded, in a tombstone.",
    &["namespace", "state"],
);
/// Samples in the view.
pub const SAMPLES: MetricName =
    named("metrifold_view_samples", "Samples in the merged view at the last read.", &["namespace"]);
/// Segments in the directory.
pub const SEGMENTS: MetricName = named(
    "metrifold_segments",
    "Segments in this host's directory: of live workers; of dead ones, not acknowledged yet; unreadable.",
    &["state"],
);
/// Segments done with.
pub const SEGMENTS_FINISHED: MetricName = named(
    "metrifold_segments_finished_total",
    "Segments of dead workers that every target has acknowledged to the last value and that were removed.",
    &[],
);
/// Conflicting families.
pub const CONFLICTS: MetricName = named(
    "metrifold_view_conflicts",
    "Families or samples left out of the merged view at the last read, by conflict of type or name; the log names them.",
    &["namespace"],
);
/// Announced resets.
pub const VIEW_RESETS: MetricName = named(
    "metrifold_view_resets_total",
    "Times that a store came back without what it had held and the view went down after waiting store.settle.",
    &["namespace"],
);

/// All of the above, in the order of the page.
pub const ALL: [MetricName; 16] = [
    PUSHES,
    PUSHES_REFUSED,
    FOLDED,
    TRIMMED,
    COMMIT_CONFLICTS,
    RESTORES,
    REAPER_PASSES,
    STORE_ERRORS,
    SCRAPES,
    SCRAPE_DURATION,
    SOURCES,
    SAMPLES,
    SEGMENTS,
    SEGMENTS_FINISHED,
    CONFLICTS,
    VIEW_RESETS,
];
