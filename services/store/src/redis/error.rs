//! What an error of Redis or of the connection means for a caller.

use metrifold_dial::DialError;
use metrifold_redis::ReplyError;

use crate::StoreError;

/// The error of a command.
pub(super) fn of_dial(error: DialError) -> StoreError {
    match error {
        DialError::Unavailable(text) => StoreError::Unavailable(text),
        DialError::Invalid(text) | DialError::Refused(text) => StoreError::Refused(text),
    }
}

/// The error of a reply that came but is none.
pub(super) fn of_reply(error: ReplyError) -> StoreError {
    match error {
        ReplyError::Shards { .. } => StoreError::Refused(error.to_string()),
        ReplyError::Unexpected(_) | ReplyError::Blob(_) => StoreError::Corrupt(error.to_string()),
    }
}
