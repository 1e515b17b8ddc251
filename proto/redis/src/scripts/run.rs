//! Which Redis process it is.

use bytes::Bytes;

/// `run_id` of a Redis process: random at its start, so another process, a restarted or a promoted one, has another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RunId(Bytes);

impl RunId {
    /// From the field `run_id` of `INFO server`; `None` if that is empty.
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| RunId(Bytes::copy_from_slice(text.as_bytes())))
    }

    pub(super) fn word(&self) -> Bytes {
        self.0.clone()
    }
}
