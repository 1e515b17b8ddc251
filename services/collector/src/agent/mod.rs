//! Holds the segments of one directory and pushes their values on.

mod run;
mod source;
mod status;

pub use run::{Agent, AgentError, AgentSettings};
pub use status::AgentStatus;
