//! Holds the segments of one directory and pushes their values on.

mod open_files;
mod run;
mod source;
mod status;

pub use run::{Agent, AgentError, AgentSettings};
pub use status::AgentStatus;
