//! What an agent needs of the memory of a process, whatever kind it is.

use metrifold_push::Memory;
use metrifold_segment::{DbError, HolderError, SegmentError};

/// Memory that outlives the process which writes it.
pub(super) trait ProcessMemory: Memory<Error = SourceError> + Send {
    /// Whether the process may still write.
    fn is_alive(&mut self) -> Result<bool, SourceError>;
}

/// Why a source cannot be served now.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    #[error(transparent)]
    Segment(#[from] SegmentError),
    #[error(transparent)]
    Holder(#[from] HolderError),
    #[error(transparent)]
    File(#[from] DbError),
}
