//! The collecting side of a server: gRPC ingest, liveness and folding.
//!
//! - [`ingest`] takes pushes from other processes over gRPC and hands them to a [`Store`](metrifold_store::Store).
//! - [`Reaper`] opens and restores shards, folds dead sources and trims old tombstones. Any number may run at once.
//!
//! ```
//! use std::sync::Arc;
//!
//! use metrifold_collector::{Reaper, ReaperSettings};
//! use metrifold_model::Namespace;
//! use metrifold_store::{EmbeddedSettings, EmbeddedStore};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! let store = Arc::new(EmbeddedStore::open(EmbeddedSettings::default())?);
//! let mut reaper = Reaper::new(store.clone(), Namespace::default(), ReaperSettings::default());
//! reaper.pass().await;
//! let service = metrifold_collector::ingest(store, Namespace::default()).await;
//! # let _ = service;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ingest;
mod reaper;

pub use ingest::{Admission, guarded_ingest, ingest};
pub use reaper::{Reaper, ReaperSettings};
