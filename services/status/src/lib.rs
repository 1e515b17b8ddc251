//! What a server says of itself: health, readiness, own metrics, and its status as JSON and as a page.
//!
//! Every role has these routes. Status and lists as JSON, service discovery and the status page come from a [`Console`],
//! which shows what this server has seen of its store ([`ObservedStore`]) and reads nothing itself. A [`MeteredStore`]
//! counts what passes through it in the own metrics.

mod api;
mod console;
mod health;
mod metered;
mod observed;
mod page;

pub use console::{Console, Identity};
pub use health::health;
pub use metered::MeteredStore;
pub use observed::{Observed, ObservedStore};
pub use page::console;
