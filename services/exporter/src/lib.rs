//! The merged view over HTTP: `/metrics`.
//!
//! A scrape reads through to the store, in a read that began after the scrape arrived; scrapes that wait share the
//! next read. A view that could let a counter fall is never shown: while the store is sealed, settling or unreadable
//! the answer is 503 with the reason as text.
//!
//! What a scrape gets is negotiated: see [`metrifold_exposition`] for the formats. Scrapes that share a read share its
//! pages as well, one per format, scheme for names, compression and filter, so that memory does not grow with them.
//!
//! [`build`] makes an [`axum::Router`]; who listens, and for how long, is the composition root's affair.

mod compression;
mod deadline;
mod error;
mod exporter;
mod flight;
mod floor;
mod http;
mod own;
mod pages;
mod press;
mod query;
mod reader;
mod settings;

pub use error::ScrapeError;
pub use exporter::Exporter;
pub use http::build;
pub use reader::merge_options;
pub use settings::{ExporterSettings, OwnMetrics};
