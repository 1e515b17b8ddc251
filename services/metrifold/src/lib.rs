//! The `metrifold` binary: command line, configuration, start and drain.

use std::io::Write;

pub mod config;
pub mod demo;

/// One line on stdout. A reader that has gone away is no reason to end.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
