//! The merged view over HTTP: /metrics, health, own metrics, status as JSON and as a page.
//!
//! A scrape reads through to the store, in a read that began after the scrape arrived; scrapes that wait share the
//! next read. A view that could let a counter fall is never shown: while the store is sealed, settling or unreadable
//! the answer is 503 with the reason as text.
//!
//! What a scrape gets is negotiated: see [`metrifold_exposition`] for the formats. Scrapes that share a read share its
//! pages as well, one per format, scheme for names, compression and filter, so that memory does not grow with them.
//!
//! Status and lists as JSON, service discovery and the status page come from a [`Console`], which shows what this server
//! has seen of its store and reads nothing itself.
//!
//! [`build`] and [`console`] make [`axum::Router`]s; who listens, and for how long, is the composition root's affair.

mod api;
mod compression;
mod console;
mod deadline;
mod error;
mod exporter;
mod flight;
mod floor;
mod http;
mod own;
mod page;
mod pages;
mod press;
mod query;
mod reader;
mod settings;
mod sights;
mod sources;

pub use console::{Console, Identity};
pub use error::ScrapeError;
pub use exporter::Exporter;
pub use http::{build, operations};
pub use page::console;
pub use settings::{ExporterSettings, OwnMetrics};
pub use sights::{SightedStore, Sights};
pub use sources::{SourceRow, SourceState, sort_sources, source_rows};
