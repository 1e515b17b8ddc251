//! The `metrifold` binary: command line, configuration, start and drain.

pub mod config;
