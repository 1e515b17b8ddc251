//! Reading the configuration again, on SIGHUP and on `POST /-/reload`.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use metrifold_gate::Gate;
use metrifold_telemetry::LogControl;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Mutex,
};
use tokio_util::sync::CancellationToken;

use super::ServerError;
use crate::config::{Inputs, Loaded, load};

/// What the configuration was read from, and what it was when the server started.
pub(crate) struct ReloadInputs {
    pub(crate) inputs: Inputs,
    pub(crate) loaded: Loaded,
    pub(crate) logs: LogControl,
}

/// Reads the configuration again: flags and environment as they were at the start, the file as it is now.
#[derive(Clone)]
pub(super) struct Reload(Arc<Mutex<Parts>>);

struct Parts {
    from: ReloadInputs,
    gate: Gate,
}

impl Reload {
    pub(super) fn new(from: ReloadInputs, gate: Gate) -> Reload {
        Reload(Arc::new(Mutex::new(Parts { from, gate })))
    }

    /// Reloads on every SIGHUP until the drain.
    pub(super) async fn run(self, drain: CancellationToken) -> Result<(), ServerError> {
        let mut hangup = signal(SignalKind::hangup())?;
        loop {
            tokio::select! {
                () = drain.cancelled() => return Ok(()),
                _ = hangup.recv() => drop(self.reload().await),
            }
        }
    }

    /// `POST /-/reload`.
    pub(super) fn route(self) -> Router {
        Router::new().route("/-/reload", post(answer)).with_state(self)
    }

    /// What can change at run time - the web configuration and the log level - does, or nothing does. The answer says what
    /// takes a restart.
    async fn reload(&self) -> Result<String, String> {
        let parts = self.0.lock().await;
        let outcome = parts.reload().await;
        match &outcome {
            Ok(done) => tracing::info!("reloaded: {done}"),
            Err(error) => tracing::error!(%error, "the configuration was not reloaded"),
        }
        outcome
    }
}

impl Parts {
    async fn reload(&self) -> Result<String, String> {
        let ReloadInputs { inputs, loaded, logs } = &self.from;
        let inputs = inputs.clone();
        let later =
            tokio::task::spawn_blocking(move || load(&inputs)).await.map_err(|error| error.to_string())?;
        let later = later.map_err(|errors| errors.to_string())?;
        self.gate.reload(later.settings.web.source()).await.map_err(|errors| errors.to_string())?;
        logs.set_level(&later.settings.log).map_err(|error| error.to_string())?;
        let done = format!("the web configuration, and log.level = {}", later.settings.log.level);
        let rest = loaded.changed_for_good(&later);
        Ok(match rest.is_empty() {
            true => done,
            false => format!("{done}; these have changed and take a restart: {}", rest.join(", ")),
        })
    }
}

async fn answer(State(reload): State<Reload>) -> Response {
    match reload.reload().await {
        Ok(done) => format!("reloaded: {done}\n").into_response(),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("nothing was reloaded: {error}\n")).into_response()
        }
    }
}
