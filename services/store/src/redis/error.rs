//! What an error of Redis or of the connection means for a caller.

use fred::error::{Error, ErrorKind};
use metrifold_redis::ReplyError;

use crate::StoreError;

/// Replies that say "not now": the server is starting, failing over, or busy with somebody's script.
const TRANSIENT: [&str; 6] = ["LOADING", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "BUSY", "MOVED"];

/// The error of a command. `connection` is the last error of the connection, if it is down: it names the cause of
/// what is otherwise a mere time-out.
pub(super) fn of_command(error: &Error, connection: Option<&Error>) -> StoreError {
    match error.kind() {
        ErrorKind::Timeout
        | ErrorKind::Canceled
        | ErrorKind::IO
        | ErrorKind::Routing
        | ErrorKind::Backpressure
        | ErrorKind::Cluster
        | ErrorKind::Sentinel => of_connection(error, connection),
        _ if TRANSIENT.iter().any(|word| error.details().starts_with(word)) => {
            StoreError::Unavailable(error.details().into())
        }
        _ => StoreError::Refused(error.details().into()),
    }
}

fn of_connection(error: &Error, connection: Option<&Error>) -> StoreError {
    match connection {
        Some(cause) if *cause.kind() == ErrorKind::Auth => StoreError::Refused(cause.details().into()),
        Some(cause) => StoreError::Unavailable(format!("{}; {}", error.details(), cause.details())),
        None => StoreError::Unavailable(error.details().into()),
    }
}

/// The error of a reply that came but is none.
pub(super) fn of_reply(error: ReplyError) -> StoreError {
    match error {
        ReplyError::Shards { .. } => StoreError::Refused(error.to_string()),
        ReplyError::Unexpected(_) | ReplyError::Blob(_) => StoreError::Corrupt(error.to_string()),
    }
}
