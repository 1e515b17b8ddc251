//! A connection that is made anew when it is needed, but not too often.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::sync::Mutex;

use super::open::Master;
use crate::{ClientSettings, RedisError};

/// Where a connection is kept. One attempt at a time; whoever comes meanwhile waits for its outcome, and whoever comes
/// in the pause after a failure gets that failure.
pub(crate) struct Reconnect {
    state: Mutex<State>,
    pauses: ExponentialBuilder,
}

struct State {
    master: Option<Arc<Master>>,
    pauses: ExponentialBackoff,
    failure: Option<(RedisError, Instant)>,
}

impl Reconnect {
    pub(crate) fn new(settings: &ClientSettings) -> Self {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(settings.reconnect_min)
            .with_max_delay(settings.reconnect_max)
            .with_factor(2.0)
            .with_jitter()
            .without_max_times();
        Reconnect { state: Mutex::new(State { master: None, pauses: pauses.build(), failure: None }), pauses }
    }

    /// The connection, made by `open` if there is none.
    pub(crate) async fn master(
        &self,
        open: impl AsyncFnOnce() -> Result<Master, RedisError>,
    ) -> Result<Arc<Master>, RedisError> {
        let mut state = self.state.lock().await;
        if let Some(master) = state.master.as_ref().filter(|master| master.connection.is_alive()) {
            return Ok(master.clone());
        }
        state.master = None;
        if let Some((error, _)) = state.failure.as_ref().filter(|(_, until)| Instant::now() < *until) {
            return Err(error.clone());
        }
        match open().await {
            Ok(master) => {
                let master = Arc::new(master);
                *state = State { master: Some(master.clone()), pauses: self.pauses.build(), failure: None };
                Ok(master)
            }
            Err(error) => {
                let pause = state.pauses.next().unwrap_or(Duration::from_secs(1));
                state.failure = Some((error.clone(), Instant::now() + pause));
                Err(error)
            }
        }
    }
}
