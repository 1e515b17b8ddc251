//! Harness of the whole-path suites: every part is the real one, started on a free port and killed at the end.
//!
//! [`Redis`], [`Server`] (any role of the `metrifold` binary), [`Gunicorn`] (real workers, real signals) and
//! [`Prometheus`] are processes that end with their guard; [`Watch`] samples `/metrics` and refuses any decrease by a
//! single bit; [`Ledger`] holds the truth that the application wrote outside Metrifold.

mod cluster;
mod container;
mod gunicorn;
mod ledger;
mod link;
mod load;
mod node;
mod page;
mod pressure;
mod process;
mod prometheus;
mod redis;
mod scrape;
mod sentinel;
mod server;
mod watch;

pub use cluster::Cluster;
pub use container::contained;
pub use gunicorn::{Gunicorn, GunicornSettings};
pub use ledger::{Ledger, worker_words};
pub use link::{Link, Mode};
pub use load::Load;
pub use page::{Outage, Page};
pub use process::{
    Process, binary, children, eventually, eventually_async, free_port, kill, python, repository,
    rust_example, skip,
};
pub use prometheus::Prometheus;
pub use redis::Redis;
pub use scrape::{NoPage, Scrape, get};
pub use sentinel::Sentinel;
pub use server::Server;
pub use watch::{Gap, Watch, Watched};
