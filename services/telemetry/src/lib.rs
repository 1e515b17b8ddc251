//! The service watching itself: logs to one writer, traces over OTLP, and own metrics in one list.
//!
//! There is no global registry: whoever composes a server makes a [`prometheus::Registry`], builds [`Metrics`] on it
//! and hands clones of the struct to the parts that count.
//!
//! ```
//! use metrifold_telemetry::Metrics;
//!
//! let registry = prometheus::Registry::new();
//! let metrics = Metrics::register(&registry).expect("a new registry has no clash");
//! metrics.restores.inc();
//! assert_eq!(registry.gather().iter().filter(|family| family.name() == "metrifold_restores_total").count(), 1);
//! ```

mod logs;
mod metrics;
pub mod names;
mod sidecar;
mod spans;
mod traces;

pub use logs::{LogControl, LogError, LogFormat, LogSettings, start_logs};
pub use metrics::Metrics;
pub use sidecar::{SIDECAR_PREFIX, SidecarMetrics};
pub use spans::{ingest_span, push_span};
pub use traces::{TraceError, TraceSettings, Traces, continue_trace};
