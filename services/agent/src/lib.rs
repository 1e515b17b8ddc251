//! Holds the memory of this host's processes - segments, and the files of prometheus_client - and pushes their values on.
//!
//! An [`Agent`] is the worker's side of the protocol for processes that only write memory: it pushes to one or two
//! targets by their [`Transport`](metrifold_push::Transport)s. A dead worker's last values are pushed however it died.

mod directory;
mod file_limit;
mod files;
mod fold;
mod memory;
mod run;
mod segments;
mod sources;
mod status;
mod transport;

pub use files::{FilesSettings, LedgerError, PidLiveness};
pub use run::{Agent, AgentError, AgentSettings};
pub use status::{AgentStatus, Counts};
pub use transport::StoreTransport;
