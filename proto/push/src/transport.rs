//! What carries pushes.

use async_trait::async_trait;
use metrifold_model::Namespace;
use metrifold_session::{Answer, Push};

/// Carries pushes to one target. Any number may be under way at once.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// The same name over restarts, without secrets: it is logged, and what was sent is remembered under it.
    fn name(&self) -> &str;

    /// Sends one push and waits for its answer, for a bounded time. May be cancelled at any time.
    ///
    /// # Errors
    /// If no answer came. The push may or may not have been stored; it is sent again.
    async fn push(&self, namespace: &Namespace, push: &Push) -> Result<Answer, Unanswered>;
}

/// Why a push was not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unanswered(pub String);

impl Unanswered {
    /// With the words of an error.
    pub fn because(error: &dyn std::fmt::Display) -> Unanswered {
        Unanswered(error.to_string())
    }
}
