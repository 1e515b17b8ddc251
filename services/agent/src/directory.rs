//! A directory where sources are found.

use metrifold_session::Instant;
use metrifold_store::StoreError;

use crate::{
    AgentError, AgentStatus, Counts,
    fold::{FoldAnswer, FoldQuestion},
    memory::SourceError,
    sources::{AnySources, SourceKey, Targets},
};

/// A directory whose files are sources.
pub(super) trait Directory: Send {
    /// Finds new sources, looks after the known ones, lets the finished ones go.
    fn scan(&mut self, targets: &Targets, now: Instant) -> Result<(), AgentError>;

    /// Lets go what every target has acknowledged to the last value.
    fn release(&mut self, now: Instant) -> Result<(), AgentError>;

    /// Whether all that was there at the start has been seen.
    fn is_known(&self) -> bool;

    /// The sources that are pushed now.
    fn sources(&mut self) -> &mut dyn AnySources;

    /// Leaves a source alone until it can be read again.
    fn skip_unreadable(&mut self, key: SourceKey, error: &SourceError);

    fn counts(&self) -> Counts;

    /// Enters the counts where they belong.
    fn report(&self, status: &mut AgentStatus);

    /// What to call a source in the log.
    fn name_of(&mut self, key: SourceKey) -> String;

    /// Gives the directory up, because nothing is left to do; `false` if something has come up at this very moment.
    fn leave(&mut self) -> Result<bool, AgentError>;

    /// What the directory wants to know of its store now.
    fn question(&mut self, _now: Instant) -> Option<FoldQuestion> {
        None
    }

    /// What [`FoldQuestion::answer`] said.
    fn answered(&mut self, _answer: Result<FoldAnswer, StoreError>, _now: Instant) {}
}
