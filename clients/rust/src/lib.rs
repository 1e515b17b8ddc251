//! The Rust SDK: ships any prometheus::Registry to Metrifold without ever blocking the application.

pub mod snapshot;
