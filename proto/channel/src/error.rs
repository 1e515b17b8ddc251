//! Why there is no way.

use std::path::PathBuf;

/// Settings that can never lead to a collector. Never because one is down, and never with a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// Not an address of a collector.
    #[error("{0}")]
    Address(String),
    /// The files of an address do not go together.
    #[error(transparent)]
    Tls(#[from] metrifold_tls::TlsError),
    /// A token that cannot stand in a header.
    #[error("the token has characters other than visible ASCII ones, or none at all")]
    Token,
    /// A token twice.
    #[error("a token and a token file ({}) are given; keep one", .0.display())]
    TwoTokens(PathBuf),
}
