//! Reading replies of scripts.

use metrifold_format::BlobError;

/// Why a script's reply is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The caller does not have the namespace's number of shards.
    #[error(
        "the namespace has {actual} shards in Redis; set redis.shards to {actual}, or wipe the namespace to change it"
    )]
    Shards {
        /// What Redis holds.
        actual: String,
    },
    /// The reply is not one that the script gives.
    #[error("Redis gave a reply that its script does not give: {0}")]
    Unexpected(&'static str),
    /// A blob in the reply cannot be read.
    #[error(transparent)]
    Blob(#[from] BlobError),
}

/// Reads a reply, a flat array of bulk strings, from its beginning.
pub(crate) struct Fields<'a, B> {
    rest: std::slice::Iter<'a, B>,
}

impl<'a, B: AsRef<[u8]>> Fields<'a, B> {
    pub(crate) fn new(reply: &'a [B]) -> Self {
        Fields { rest: reply.iter() }
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], ReplyError> {
        self.rest.next().map(AsRef::as_ref).ok_or(ReplyError::Unexpected("it is too short"))
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, ReplyError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| ReplyError::Unexpected("a text is not UTF-8"))
    }

    /// A decimal number; nothing stands for 0.
    pub(crate) fn number(&mut self) -> Result<u64, ReplyError> {
        number(self.bytes()?)
    }

    /// A number of 16 hex digits; nothing stands for `None`.
    pub(crate) fn id(&mut self) -> Result<Option<u64>, ReplyError> {
        id(self.bytes()?)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.len() == 0
    }
}

pub(crate) fn number(bytes: &[u8]) -> Result<u64, ReplyError> {
    if bytes.is_empty() {
        return Ok(0);
    }
    let text = std::str::from_utf8(bytes).ok();
    text.and_then(|text| text.parse().ok()).ok_or(ReplyError::Unexpected("a number is none"))
}

pub(crate) fn id(bytes: &[u8]) -> Result<Option<u64>, ReplyError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let text = std::str::from_utf8(bytes).ok();
    let id = text.and_then(|text| u64::from_str_radix(text, 16).ok());
    id.map(Some).ok_or(ReplyError::Unexpected("an id is not hexadecimal"))
}
