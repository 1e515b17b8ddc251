//! Every bound on what comes from outside, with its reason. A refusal names the constant's lower-case name.

use std::time::Duration;

/// Longest namespace, so that keys stay short.
pub const NAMESPACE_BYTES_MAX: usize = 128;
/// Longest family, sample or label name. Prometheus itself has no bound; longer names are always a mistake.
pub const NAME_BYTES_MAX: usize = 1_024;
/// Longest label value; keeps one bad path label from filling the store.
pub const LABEL_VALUE_BYTES_MAX: usize = 8_192;
/// Longest help text; of a longer one only the beginning is kept.
pub const HELP_BYTES_MAX: usize = 8_192;
/// Most labels of one series; Prometheus servers commonly refuse more than 30 to 60.
pub const LABELS_MAX: usize = 64;
/// Most slots of one source: 1.6 MB of values, some 12,000 histograms of 16 buckets.
pub const SLOTS_PER_SOURCE_MAX: usize = 200_000;
/// Largest push message, on any transport: the descriptors of [`SLOTS_PER_SOURCE_MAX`] ordinary slots.
pub const PUSH_BYTES_MAX: usize = 64 << 20;
/// Most sources (live and in tombstones) of one namespace; one fork bomb must not take the store with it.
pub const SOURCES_PER_NAMESPACE_MAX: usize = 100_000;
/// Most that a shard's archive may have before compression: some million series. A source whose series find no room is not
/// folded: its record stays, and is counted.
pub const ARCHIVE_BYTES_MAX: usize = 256 << 20;
/// Highest number of a push. Pushers begin with milliseconds since boot, and could go on for 100 million years.
pub const SEQ_MAX: u64 = 1 << 62;
/// Latest time that a source may name, Unix seconds: the end of the year 9999.
pub const TIME_MAX: u64 = 253_402_300_799;
/// Longest instance name or process identifier.
pub const IDENTITY_BYTES_MAX: usize = 256;
/// Longest unit; the base units have at most 10 bytes.
pub const UNIT_BYTES_MAX: usize = 64;
/// Most exemplars of one source: some 100 KB of its pushes. What has none of the places shows no exemplar.
pub const EXEMPLARS_PER_SOURCE_MAX: usize = 1_024;
/// Most characters of an exemplar's label names and values together (OpenMetrics 1.0: 128 code points).
pub const EXEMPLAR_CHARACTERS_MAX: usize = 128;
/// Shortest time between pushes: a shorter one would only load the target.
pub const PUSH_INTERVAL_MIN: Duration = Duration::from_millis(10);
/// Longest time between pushes: a source that is silent for longer is taken for dead over and over.
pub const PUSH_INTERVAL_MAX: Duration = Duration::from_secs(300);
