//! The `metrifold` binary: command line, configuration, start and drain.
//!
//! Nothing here decides about metrics. [`config`] turns flags, environment and file into typed settings, [`execute`]
//! carries out one command, and a server role is composed of the store, the collector and the exporter in `server`.

use std::io::Write;

pub mod cli;
pub mod config;
mod detach;
mod execute;
mod listener;
mod server;

pub use execute::execute;
pub use listener::{BindError, Listeners};

/// One line on stdout. A reader that has gone away is no reason to end.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// The reason for a failure, on stderr.
fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
