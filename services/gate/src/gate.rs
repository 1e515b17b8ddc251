//! The gate that a listener and its routes share.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use metrifold_model::Namespace;
use metrifold_telemetry::Metrics;
use parking_lot::Mutex;

use crate::{
    Source, WebErrors,
    credentials::{Attempts, Bucket, Passwords},
    live::Live,
    web::{Rate, Web, read},
};

/// Failed handshakes and refused requests that are logged at once, and how often after that: a scanner must not fill
/// the disk.
const LOGGED_BURST: u32 = 20;
const LOGGED_INTERVAL: Duration = Duration::from_secs(10);

/// Who may come in. Clones share everything.
#[derive(Clone)]
pub struct Gate(Arc<Shared>);

struct Shared {
    live: Live,
    passwords: Passwords,
    /// Wrong passwords, and apart from them wrong tokens: a worker with an old token, which tries for ever, must not use
    /// up the attempts of a Prometheus on the same host.
    wrong_passwords: Attempts,
    wrong_tokens: Attempts,
    rate: Mutex<Option<(Rate, Bucket)>>,
    logged: Mutex<Bucket>,
    namespace: Namespace,
    allows_anonymous: bool,
    metrics: Metrics,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

impl Gate {
    /// Reads the rules. `namespace` is the one of requests that name none; whether those from elsewhere may push who are not
    /// asked for credentials is `allows_anonymous`.
    ///
    /// # Errors
    /// Everything that is wrong with them, at once.
    pub fn open(
        source: Source,
        namespace: Namespace,
        allows_anonymous: bool,
        metrics: Metrics,
    ) -> Result<Gate, WebErrors> {
        let live = Live::open(source, metrics.clone())?;
        Ok(Gate(Arc::new(Shared {
            live,
            passwords: Passwords::default(),
            wrong_passwords: Attempts::default(),
            wrong_tokens: Attempts::default(),
            rate: Mutex::default(),
            logged: Mutex::new(Bucket::full(Instant::now())),
            namespace,
            allows_anonymous,
            metrics,
        })))
    }

    /// Reads and checks rules without using them; returns what they say, in one line without secrets.
    ///
    /// # Errors
    /// Everything that is wrong with them, at once.
    pub fn check(source: &Source) -> Result<String, WebErrors> {
        read(source).web.map(|web| web.summary())
    }

    /// Whether connections over TCP are made of TLS. Never changes while a gate lives.
    pub fn is_tls(&self) -> bool {
        self.0.live.has_tls()
    }

    /// Reads the rules again, from `source`, at once. On an error those in force stay.
    ///
    /// # Errors
    /// Everything that is wrong with them, at once.
    pub async fn reload(&self, source: Source) -> Result<(), WebErrors> {
        self.0.live.reload(source).await
    }

    /// Whether processes of other hosts may push.
    pub async fn takes_pushes_from_elsewhere(&self) -> bool {
        let rules = self.rules().await;
        self.allows_anonymous() || !rules.is_open() || rules.verifies_certificates()
    }

    pub(crate) fn allows_anonymous(&self) -> bool {
        self.0.allows_anonymous
    }

    /// Whether one more line about somebody who was turned away may be logged.
    pub(crate) fn may_log(&self) -> bool {
        self.0.logged.lock().take(Instant::now(), LOGGED_INTERVAL, LOGGED_BURST).is_ok()
    }

    pub(crate) async fn rules(&self) -> Arc<Web> {
        self.0.live.current().await
    }

    pub(crate) fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }

    pub(crate) fn wrong_passwords(&self) -> &Attempts {
        &self.0.wrong_passwords
    }

    pub(crate) fn wrong_tokens(&self) -> &Attempts {
        &self.0.wrong_tokens
    }

    pub(crate) fn namespace(&self) -> &Namespace {
        &self.0.namespace
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Whether one more request may come now; if not, how long to wait. A rate that has changed begins anew.
    pub(crate) fn admit(&self, rate: Option<Rate>, now: Instant) -> Result<(), Duration> {
        let mut state = self.0.rate.lock();
        let Some(rate) = rate else {
            *state = None;
            return Ok(());
        };
        if state.is_none_or(|(former, _)| former != rate) {
            *state = Some((rate, Bucket::full(now)));
        }
        match &mut *state {
            Some((_, bucket)) => bucket.take(now, rate.interval, rate.burst),
            None => Ok(()),
        }
    }
}
