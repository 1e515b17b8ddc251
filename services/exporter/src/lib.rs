//! The merged view over HTTP: /metrics, health and own metrics.
//!
//! A scrape reads through to the store, in a read that began after the scrape arrived; scrapes that wait share the
//! next read. A view that could let a counter fall is never shown: while the store is sealed, settling or unreadable
//! the answer is 503 with the reason as text.
//!
//! [`build`] makes an [`axum::Router`]; who listens, and for how long, is the composition root's affair.

mod deadline;
mod error;
mod exporter;
mod flight;
mod floor;
mod http;
mod reader;
mod settings;

pub use error::ScrapeError;
pub use exporter::Exporter;
pub use http::{build, operations};
pub use settings::ExporterSettings;
