//! What can be wrong with the rules.

use std::fmt;

/// One thing that is wrong. Never repeats a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct WebProblem {
    /// The key, dotted, or the file.
    pub place: String,
    /// What is wrong there, and what to write instead.
    pub message: String,
}

/// Everything that is wrong, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebErrors {
    /// What was read.
    pub source: String,
    /// What is wrong with it.
    pub problems: Vec<WebProblem>,
}

impl fmt::Display for WebErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        let are = if count == 1 { "thing is" } else { "things are" };
        write!(f, "{count} {are} wrong in {}:", self.source)?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))
    }
}

impl std::error::Error for WebErrors {}
