//! What runs until the drain.

use std::{future::Future, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::ServerError;

/// One deadline over everything that a drain does.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The parts of a running server. When one ends, all are drained.
pub(super) struct Parts {
    tasks: JoinSet<Result<(), ServerError>>,
    drain: CancellationToken,
}

impl Parts {
    pub(super) fn new() -> Parts {
        Parts { tasks: JoinSet::new(), drain: CancellationToken::new() }
    }

    /// Cancelled when parts are to finish what they have accepted, and end.
    pub(super) fn drain(&self) -> CancellationToken {
        self.drain.clone()
    }

    pub(super) fn spawn(&mut self, part: impl Future<Output = Result<(), ServerError>> + Send + 'static) {
        self.tasks.spawn(part);
    }

    /// Waits for a signal or for a part to end, then drains all parts under one deadline. The first failure counts.
    pub(super) async fn until_drained(mut self) -> Result<(), ServerError> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let first = tokio::select! {
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
            Some(ended) = self.tasks.join_next() => ended.map_err(ServerError::from).flatten(),
        };
        tracing::info!("draining");
        self.drain.cancel();
        let rest = tokio::time::timeout(DRAIN_TIMEOUT, self.drained()).await.unwrap_or_else(|_| {
            tracing::warn!("the drain was cut short after {}", humantime::format_duration(DRAIN_TIMEOUT));
            Ok(())
        });
        first.and(rest)
    }

    async fn drained(&mut self) -> Result<(), ServerError> {
        let mut outcome = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            outcome = outcome.and(ended.map_err(ServerError::from).flatten());
        }
        outcome
    }
}
