//! What an error of Redis or of the connection means for a caller.

use metrifold_redis::RedisError;
use metrifold_redis::ReplyError;

use crate::StoreError;

/// The error of a command.
pub(super) fn of_redis(error: RedisError) -> StoreError {
    match error {
        RedisError::Unavailable(text) => StoreError::Unavailable(text),
        RedisError::Invalid(text) | RedisError::Refused(text) => StoreError::Refused(text),
    }
}

/// The error of a reply that came but is none.
pub(super) fn of_reply(error: ReplyError) -> StoreError {
    match error {
        ReplyError::Shards { .. } => StoreError::Refused(error.to_string()),
        ReplyError::Unexpected(_) | ReplyError::Blob(_) => StoreError::Corrupt(error.to_string()),
    }
}
