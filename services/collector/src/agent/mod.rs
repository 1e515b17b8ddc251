//! Holds the memory of processes (segments, and prometheus_client's files) and pushes their values on.

mod files;
mod memory;
mod open_files;
mod place;
mod run;
mod segments;
mod source;
mod status;

pub use files::{FilesSettings, LedgerError, PidLiveness};
pub use run::{Agent, AgentError, AgentSettings};
pub use status::{AgentStatus, Counts};
