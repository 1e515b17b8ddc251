//! What an agent needs of the memory of a source, whatever kind it is.

use metrifold_model::{DescriptorList, Incarnation, Namespace, Values, Worker};
use metrifold_segment::{ForeignError, HolderError, SegmentError};
use metrifold_session::PusherState;

/// A place that outlives its process, holds its values, and remembers what was pushed of them.
///
/// Lanes are the agent's targets in their order. What was recorded is there for whoever holds the memory next, however
/// this process ends.
pub(super) trait Memory: Send {
    /// The application.
    fn namespace(&self) -> &Namespace;

    /// The process, as people know it.
    fn worker(&self) -> Worker;

    /// Under which name a target that has never heard of the source gets it.
    fn incarnation(&self) -> Incarnation;

    /// Whether the process may still write.
    fn is_alive(&mut self) -> Result<bool, SourceError>;

    /// What it holds now.
    fn refresh(&mut self) -> Result<(&DescriptorList, Values), SourceError>;

    /// What a former holder recorded last.
    fn load(&self, lane: usize) -> Option<PusherState>;

    /// Whether a former holder recorded that the target has everything there will ever be.
    fn has_ended(&self, _lane: usize) -> bool {
        false
    }

    /// Called before a push is sent, which may say that the source has ended. After an error it must not be.
    fn record_sent(&mut self, lane: usize, state: &PusherState, is_final: bool) -> Result<(), SourceError>;

    /// Called after an answer. Forgetting it has the same effect as an answer that was lost on its way.
    fn record_answer(&mut self, lane: usize, state: &PusherState);
}

/// Why a source cannot be served now.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    #[error(transparent)]
    Segment(#[from] SegmentError),
    #[error(transparent)]
    Holder(#[from] HolderError),
    #[error(transparent)]
    File(#[from] ForeignError),
}
