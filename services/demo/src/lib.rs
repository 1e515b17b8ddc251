//! `metrifold demo`: real workers, real deaths, one exact total.
//!
//! A child `metrifold serve` watches a segment directory; child workers count as fast as they can and are killed at
//! random. The truth comes from ledgers that the workers keep outside Metrifold's own memory.

mod crew;
mod ledger;
mod run;
mod server;
mod table;
mod verdict;
mod worker;

pub use run::{DemoError, DemoSettings, run};
pub use worker::{WorkerArguments, work};
