//! Holds the memory of this host's processes - segments, and the files of prometheus_client - and pushes their values on.
//!
//! An [`Agent`] is the worker's side of the protocol for processes that only write memory: it pushes to one or two
//! [`Target`]s. A dead worker's last values are pushed however it died.

mod files;
mod memory;
mod open_files;
mod place;
mod run;
mod segments;
mod source;
mod status;
mod target;

pub use files::{FilesSettings, LedgerError, PidLiveness};
pub use metrifold_channel::Token;
pub use run::{Agent, AgentError, AgentSettings};
pub use status::{AgentStatus, Counts};
pub use target::{GrpcTarget, StoreTarget, Target, TargetError};
