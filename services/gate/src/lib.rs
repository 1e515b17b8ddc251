//! Who may come in: TLS, passwords, tokens and rates of the one listener, from a web.config.yml that may change while
//! it runs.
//!
//! - A [`Gate`] is read from a [`Source`]: a `web.config.yml` as Prometheus's exporters read it, or certificate files.
//! - [`Gate::guard`] puts it before the routes of a server, HTTP and gRPC alike.
//! - [`serve`] accepts connections, makes TLS of them, and bounds what a peer may hold without saying anything.
//!
//! Files are looked at again when somebody comes in, at most every [`CHECK_INTERVAL`]. What cannot be read leaves the
//! last good configuration in force, is logged, and is shown by the metric `metrifold_web_config_good`: a certificate
//! that is replaced before its key must not close the door between the two.
//!
//! ```
//! use axum::{Router, routing::get};
//! use metrifold_gate::{Gate, Source};
//! use metrifold_model::Namespace;
//! use metrifold_telemetry::Metrics;
//!
//! let metrics = Metrics::register(&prometheus::Registry::new()).expect("a new registry has no clash");
//! let gate = Gate::open(Source::Open, Namespace::default(), false, metrics)?;
//! let router: Router = gate.guard(Router::new().route("/-/healthy", get(async || "healthy\n")));
//! assert!(!gate.is_tls());
//! # let _ = router;
//! # Ok::<(), metrifold_gate::WebErrors>(())
//! ```

mod credentials;
mod files;
mod gate;
mod guard;
mod live;
mod needs;
mod permit;
mod prompt;
mod serve;
mod source;
mod tls;
mod web;

pub use gate::Gate;
pub use live::CHECK_INTERVAL;
pub use permit::Permit;
pub use serve::serve;
pub use source::{CertificateFiles, Source};
pub use web::{WebErrors, WebProblem};
