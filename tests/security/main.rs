//! Who may come in, and what those hear who may not: with the real binary, real certificates, curl, the Rust
//! client, and Prometheus.

mod agents;
mod anonymous;
mod certificates;
mod clients;
mod credentials;
mod curl;
mod health;
mod hostile;
mod limits;
mod mutual;
mod prometheus;
mod reload;
mod site;
mod tls;
