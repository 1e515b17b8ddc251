//! The Rust SDK: ships any `prometheus::Registry` to Metrifold without ever blocking the application.
//!
//! ```no_run
//! use metrifold_client::Pusher;
//! use prometheus::{IntCounter, Registry};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let registry = Registry::new();
//!     let jobs = IntCounter::new("jobs_total", "Jobs done.")?;
//!     registry.register(Box::new(jobs.clone()))?;
//!
//!     // METRIFOLD_TARGET says where to: local:DIR, http(s)://host:9091, unix:/path or redis://host:6379.
//!     let _pusher = Pusher::builder().registry(registry).start()?;
//!     jobs.inc();
//!     Ok(())
//! } // Dropping the pusher makes the last push.
//! ```
//!
//! # Promises
//!
//! - **Exact.** The merged totals are what the workers counted. What was counted before a [`Pusher::flush`] that succeeded
//!   survives any death of the process. Lost, repeated and late messages change nothing.
//! - **Monotone.** Nothing that was pushed falls, also not by `reset()` or `remove_label_values()`: see [`snapshot`].
//! - **Cheap.** Counting is what the `prometheus` crate does in memory. Gathering and sending happen in one thread, named
//!   `metrifold-pusher`, that takes no signals of the application.
//! - **Harmless.** A target that is down, slow or hanging costs the application nothing. [`PusherBuilder::start`] fails only
//!   for wrong settings, and dropping a pusher waits for at most `METRIFOLD_EXIT_TIMEOUT` (2 s).
//! - **Bounded.** One push is in flight, and memory grows with the number of distinct series only.
//!
//! # Not promised
//!
//! - A process that is SIGKILLed loses what was not yet acknowledged; with a `local:` target what was not yet copied into its
//!   segment, at most one push interval. A [`Recorder`], which records into the segment itself, loses nothing.
//! - A process that ends while its target is unreachable loses the same.
//! - Quantiles and untyped metrics are not merged; what is left out is named in [`Status::left_out`].
//! - A fork's child has no pusher; see [`Pusher`].
//!
//! # Features
//!
//! `grpc` (to a collector) and `redis` (straight to the store) are on by default. `default-features = false` leaves what is
//! needed for `local:` targets, without tonic, fred and rustls.
//!
//! Settings: see [`Settings`]. The semantics that all SDKs share are in `clients/README.md`.

mod builder;
#[cfg(feature = "remote")]
mod drive;
mod gather;
mod local;
mod pusher;
mod settings;
mod shared;
pub mod snapshot;
mod thread;

pub use builder::PusherBuilder;
#[cfg(feature = "grpc")]
pub use metrifold_channel::{ChannelError, HttpsAddress, Token};
pub use metrifold_model::GaugeMode;
pub use metrifold_push::{Target, TargetError};
pub use metrifold_segment::{Recorder, RecorderSettings, Slot};
pub use pusher::{FlushError, Pusher};
pub use settings::{
    EXIT_TIMEOUT, PUSH_INTERVAL, PUSH_INTERVAL_MAX, PUSH_INTERVAL_MIN, Settings, SettingsError,
};
pub use shared::Status;

/// Compiles what the README shows.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
