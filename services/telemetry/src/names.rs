//! Every metric that a server exposes about itself at `/-/metrics`, with its help text, and every span of its traces.

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
/// Whether stores can be tended.
pub const STORE_UP: MetricName = named(
    "metrifold_store_up",
    "1 if the last pass over all shards of the store went without an error, else 0; of the own store, and of a Redis upstream.",
    &["store"],
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
/// Files of a multiprocess directory.
pub const FILES: MetricName = named(
    "metrifold_multiproc_files",
    "Files of prometheus_client: of live processes; of dead ones, not acknowledged yet; kept, not pushed any more; unreadable.",
    &["state"],
);
/// Files done with.
pub const FILES_FINISHED: MetricName = named(
    "metrifold_multiproc_files_finished_total",
    "Files of dead processes whose last values are in the archive.",
    &[],
);
/// Files removed.
pub const FILES_REMOVED: MetricName = named(
    "metrifold_multiproc_files_removed_total",
    "Files of dead processes that were removed after their last values were in the archive.",
    &[],
);
/// What the files take.
pub const FILES_BYTES: MetricName = named(
    "metrifold_multiproc_bytes",
    "Bytes that the files of prometheus_client take on disk, looked up every ten seconds.",
    &[],
);
/// Writes of the ledger that failed.
pub const LEDGER_ERRORS: MetricName = named(
    "metrifold_ledger_errors_total",
    "Attempts to write the ledger of a multiprocess directory that failed, for example because the file system is full.",
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

/// Requests turned away at the gate.
pub const REQUESTS_REFUSED: MetricName = named(
    "metrifold_requests_refused_total",
    "Requests turned away before they reached a page: over the rate limit, without credentials, with wrong ones, with \
     wrong ones too often, without the right to the namespace, or because too many passwords waited to be checked.",
    &["reason"],
);
/// TLS handshakes.
pub const HANDSHAKES: MetricName = named(
    "metrifold_tls_handshakes_total",
    "TLS handshakes with clients, by result; the log says why some failed.",
    &["result"],
);
/// Reloads of the web configuration.
pub const WEB_CONFIG_RELOADS: MetricName = named(
    "metrifold_web_config_reloads_total",
    "Times that the web configuration or a file that it names was read again, by result.",
    &["result"],
);
/// Whether the web configuration in force is the one in the files.
pub const WEB_CONFIG_GOOD: MetricName = named(
    "metrifold_web_config_good",
    "1 if the web configuration in force is the one in the files; 0 if they cannot be used and the last good one is.",
    &[],
);
/// When the server's certificate expires.
pub const CERTIFICATE_EXPIRY: MetricName = named(
    "metrifold_certificate_expiry_timestamp_seconds",
    "When the certificate of this server expires, in seconds since 1970; 0 without TLS.",
    &[],
);

/// The version.
pub const BUILD: MetricName =
    named("metrifold_build_info", "1, with this server's version as a label.", &["version"]);

/// All of the above, in the order of the page.
pub const ALL: [MetricName; 28] = [
    PUSHES,
    PUSHES_REFUSED,
    FOLDED,
    TRIMMED,
    COMMIT_CONFLICTS,
    RESTORES,
    REAPER_PASSES,
    STORE_UP,
    STORE_ERRORS,
    SCRAPES,
    SCRAPE_DURATION,
    SOURCES,
    SAMPLES,
    SEGMENTS,
    SEGMENTS_FINISHED,
    FILES,
    FILES_FINISHED,
    FILES_REMOVED,
    FILES_BYTES,
    LEDGER_ERRORS,
    CONFLICTS,
    VIEW_RESETS,
    REQUESTS_REFUSED,
    HANDSHAKES,
    WEB_CONFIG_RELOADS,
    WEB_CONFIG_GOOD,
    CERTIFICATE_EXPIRY,
    BUILD,
];

/// The `tracing` target of every span; nothing else has it, so that whoever records spans need not look at names.
pub const SPAN_TARGET: &str = "metrifold::span";
/// A push from a client or an agent to its target: from the first byte to the answer. The Rust SDK makes it too.
pub const PUSH_SPAN: &str = "metrifold push";
/// A push in a collector; its parent is the pusher's span.
pub const INGEST_SPAN: &str = "metrifold.v1.Ingest/Push";
/// One round trip to Redis on behalf of a push, exported under the command (`db.operation.name`), with the first key
/// (`db.query.keys`). `metrifold-store` makes it, which knows no OpenTelemetry.
pub const REDIS_SPAN: &str = "redis";
/// The command of the [`REDIS_SPAN`] that stores a push.
pub const REDIS_WRITE: &str = "EVALSHA";
