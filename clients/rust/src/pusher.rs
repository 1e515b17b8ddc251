//! The handle that an application holds.

use std::{sync::Arc, time::Duration};

use crate::{Settings, Status, shared::Shared};

/// Brings the metrics of this process to Metrifold until it is dropped. Keep it for as long as the process counts:
///
/// - Dropping it makes a last push, for at most `METRIFOLD_EXIT_TIMEOUT`.
/// - A static is never dropped: call [`Pusher::shutdown`] before `main` returns.
///
/// In a forked child the thread does not exist: the child's handle says so ([`FlushError::Forked`]) and pushes nothing,
/// and what the child counts is seen only if it starts a pusher of its own, with [`PusherBuilder::from_now`](crate::PusherBuilder::from_now).
#[derive(Debug)]
#[must_use = "dropping the pusher ends it"]
pub struct Pusher {
    pub(crate) shared: Arc<Shared>,
    exit_timeout: Duration,
}

/// Why a flush did not succeed. Nothing is lost by it: a running pusher goes on trying.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlushError {
    /// No acknowledgement in time.
    #[error("no acknowledgement within {timeout:?} ({})", .last_error.as_deref().unwrap_or("no error so far"))]
    Timeout {
        /// How long the call waited.
        timeout: Duration,
        /// What [`Status::last_error`] says.
        last_error: Option<String>,
    },
    /// The pusher has ended, and what was counted after its last acknowledgement is not pushed.
    #[error("the pusher has ended ({})", .last_error.as_deref().unwrap_or("by a shutdown"))]
    Ended {
        /// What [`Status::last_error`] says.
        last_error: Option<String>,
    },
    /// This process is a fork of the one that started the pusher.
    #[error("this process was forked from the one that started the pusher; start another one here")]
    Forked,
}

impl Pusher {
    /// A handle whose thread is still to be started.
    pub(crate) fn of(settings: &Settings) -> Self {
        let shared = Arc::new(Shared::new(settings.target.to_string()));
        Pusher { shared, exit_timeout: settings.exit_timeout }
    }

    /// Waits until everything that was counted before the call is acknowledged by the target (in a local segment: written),
    /// for at most `timeout`. Blocks the calling thread only.
    pub fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        self.shared.flush(timeout)
    }

    /// How the pusher is doing. Never waits.
    pub fn status(&self) -> Status {
        self.shared.status()
    }

    /// Makes the last push, which says that this source has ended, and waits for its acknowledgement for at most
    /// `timeout`. What is counted afterwards is not pushed.
    pub fn shutdown(mut self, timeout: Duration) -> Result<(), FlushError> {
        self.exit_timeout = Duration::ZERO;
        self.end(timeout)
    }

    /// As [`Pusher::shutdown`], for a handle that several threads hold: each waits for the same last push.
    pub fn end(&self, timeout: Duration) -> Result<(), FlushError> {
        self.shared.end(timeout)
    }
}

impl Drop for Pusher {
    fn drop(&mut self) {
        // Whoever wants to know calls `shutdown`.
        let _ = self.shared.end(self.exit_timeout);
    }
}
