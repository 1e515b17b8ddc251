//! Configuration: read once, typed, every error at once.
//!
//! Precedence: flags over environment over file over defaults. A setting is one line in [`keys`]; everything else
//! (reading, checking, suggesting, printing) follows from that list.

mod environment;
mod error;
mod file;
mod guide;
mod keys;
mod layer;
mod load;
mod secret;
mod settings;

pub use error::{ConfigErrors, ConfigProblem};
pub use layer::Layer;
pub use load::{Inputs, Loaded, load};
pub use secret::Secret;
pub use settings::{
    AgentSection, ExporterSection, HttpSection, RedisSection, Settings, StoreSection, UpstreamSection,
    WebSection, WorkersSection,
};
