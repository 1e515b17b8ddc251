//! The dialer against real servers.

mod cluster;
mod server;
mod support;
mod tls;
