//! The client against real servers.

mod cluster;
mod server;
mod support;
mod tls;
