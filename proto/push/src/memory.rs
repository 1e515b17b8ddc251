//! What is needed of the memory of a source, whatever kind it is.

use metrifold_model::{DescriptorList, Incarnation, Namespace, Values, Worker};
use metrifold_session::PusherState;

/// Holds a source's values, and remembers what was pushed of them.
///
/// Targets are named by their place, from 0 up. Where a memory outlives its process, what was recorded is there for
/// whoever holds it next, however this process ends; where it does not, nothing need be recorded.
pub trait Memory {
    /// Why the values cannot be read, or what was sent not be recorded.
    type Error;

    /// The application.
    fn namespace(&self) -> &Namespace;

    /// The process, as people know it.
    fn worker(&self) -> Worker;

    /// Under which name a target that has never heard of the source gets it.
    fn incarnation(&self) -> Incarnation;

    /// What it holds now.
    ///
    /// # Errors
    /// If it cannot be read.
    fn refresh(&mut self) -> Result<(&DescriptorList, Values), Self::Error>;

    /// What a former holder recorded last. Default: nothing.
    fn load(&self, _target: usize) -> Option<PusherState> {
        None
    }

    /// Whether a former holder recorded that a target has everything there will ever be. Default: no.
    fn has_ended(&self, _target: usize) -> bool {
        false
    }

    /// Called before a push is sent, which may say that the source has ended. Default: does nothing.
    ///
    /// # Errors
    /// If it could not be recorded; the push is not sent then.
    fn record_sent(
        &mut self,
        _target: usize,
        _state: &PusherState,
        _is_final: bool,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Called after an answer. Forgetting it has the same effect as an answer that was lost on its way. Default: does
    /// nothing.
    fn record_answer(&mut self, _target: usize, _state: &PusherState) {}
}
