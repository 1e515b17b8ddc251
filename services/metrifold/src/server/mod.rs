//! A server role: composed, started, drained.

mod compose;
mod parts;
mod reload;
mod role;
mod run;
mod traced;

pub(crate) use compose::redis as redis_settings;
pub(crate) use reload::ReloadInputs;
pub(crate) use role::Role;
pub(crate) use run::run;

/// Why a server does not start, or ends badly.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    /// The role lacks a setting that it cannot do without.
    #[error("{0}")]
    Missing(&'static str),
    #[error(transparent)]
    Web(#[from] metrifold_gate::WebErrors),
    #[error(transparent)]
    Bind(#[from] crate::BindError),
    #[error(transparent)]
    Directory(#[from] metrifold_segment::DirectoryError),
    #[error("{0}; stop it, or choose another directory with --segment-dir")]
    Lock(#[from] metrifold_segment::AgentLockError),
    #[error(transparent)]
    Multiproc(#[from] metrifold_segment::MultiprocError),
    #[error("{0}; stop it: one server holds the files of a multiprocess directory")]
    FilesLock(metrifold_segment::AgentLockError),
    #[error(transparent)]
    Ledger(#[from] metrifold_agent::LedgerError),
    #[error(transparent)]
    Store(#[from] metrifold_store::StoreError),
    #[error("upstream.target: {0}")]
    Target(#[from] metrifold_push::TargetError),
    #[error("upstream.token: {0}")]
    Token(#[from] metrifold_channel::ChannelError),
    #[error("the agent ended: {0}")]
    Agent(#[from] metrifold_agent::AgentError),
    #[error("own metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("the listener failed: {0}")]
    Io(#[from] std::io::Error),
    #[error("a part of the server broke: {0}")]
    Broken(#[from] tokio::task::JoinError),
}
