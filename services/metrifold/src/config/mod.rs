//! Configuration: read once, typed, every error at once.
//!
//! Precedence: flags over environment over file over defaults. A setting is one entry in `keys.rs`, and a field with its default
//! in `settings.rs`; everything else (flags, variables, checking, suggesting, printing, the reference) follows from that list.

mod environment;
mod error;
mod file;
mod flags;
mod guide;
mod keys;
mod layer;
mod load;
mod reference;
mod secret;
mod settings;
mod suggest;

pub use error::{ConfigErrors, ConfigProblem};
pub use flags::{Flags, RedisFlags, ServerFlags};
pub use layer::Layer;
pub use load::{Inputs, Loaded, load};
pub use reference::reference;
pub use secret::Secret;
pub use settings::{
    AgentSection, ExporterSection, HttpSection, RedisSection, Settings, StoreSection, UpstreamSection,
    WebSection, WorkersSection,
};
