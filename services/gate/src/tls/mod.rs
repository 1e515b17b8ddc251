//! The server's side of TLS.

mod client_certificates;
pub(crate) mod names;
mod server;

pub(crate) use client_certificates::ClientAuth;
pub(crate) use server::{Pem, Tls, TlsChoice, Versions};
