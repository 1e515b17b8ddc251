//! Holds the segments of one directory and pushes their values on.

mod agent;
mod source;
mod status;

pub use agent::{Agent, AgentError, AgentSettings};
pub use status::AgentStatus;
