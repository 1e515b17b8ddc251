//! Why a command has no answer.

use fred::error::{Error, ErrorKind};

/// Why a command has no answer. Never repeats an address as it was given: it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedisError {
    /// The settings cannot be used.
    #[error("{0}")]
    Invalid(String),
    /// Not now: no connection, no answer in time, or a server that starts, fails over or moves the keys. Whether a
    /// command that was sent has been carried out is unknown.
    #[error("{0}")]
    Unavailable(String),
    /// Redis said no, in these words.
    #[error("{0}")]
    Refused(String),
}

/// Replies that say "not now": the server is starting, failing over, moving the keys, or busy with somebody's script.
const TRANSIENT: [&str; 7] = ["LOADING", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "BUSY", "MOVED", "ASK"];
/// The server is no longer the master that it was when the connection was made.
const DEMOTED: &str = "READONLY";

impl RedisError {
    pub(crate) fn of(error: &Error) -> Self {
        let text = error.details();
        if let Some((_, cause)) = text.split_once("InvalidCertificate(") {
            // fred gives the cause only in the words of its types.
            let cause = cause.trim_end_matches([' ', '}', ')']);
            return RedisError::Unavailable(format!(
                "the server's certificate is not accepted ({cause}); check the host name and the option ca"
            ));
        }
        match error.kind() {
            ErrorKind::Timeout
            | ErrorKind::Canceled
            | ErrorKind::IO
            | ErrorKind::Routing
            | ErrorKind::Backpressure
            | ErrorKind::Cluster
            | ErrorKind::Sentinel
            | ErrorKind::Tls
            | ErrorKind::Protocol => RedisError::Unavailable(text.into()),
            _ if TRANSIENT.iter().chain([&DEMOTED]).any(|word| text.starts_with(word)) => {
                RedisError::Unavailable(text.into())
            }
            _ => RedisError::Refused(text.into()),
        }
    }

    /// Says where it happened.
    pub(crate) fn at(self, endpoint: &impl std::fmt::Display) -> Self {
        match self {
            RedisError::Unavailable(text) => RedisError::Unavailable(format!("{endpoint}: {text}")),
            other => other,
        }
    }
}

/// Whether an error of a command means that the connection must not be used again.
pub(crate) fn ends_connection(error: &Error) -> bool {
    let text = error.details();
    match error.kind() {
        ErrorKind::Timeout | ErrorKind::Canceled | ErrorKind::IO | ErrorKind::Protocol | ErrorKind::Tls => {
            true
        }
        _ => text.starts_with(DEMOTED),
    }
}
