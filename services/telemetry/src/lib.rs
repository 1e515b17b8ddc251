//! The service watching itself: logs to one writer, and own metrics in one list.
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

pub use logs::{LogError, LogFormat, LogSettings, start_logs};
pub use metrics::Metrics;
