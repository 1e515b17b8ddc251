//! The rules in force while their files change.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use metrifold_telemetry::Metrics;
use tokio::sync::Mutex;

use crate::{
    Source, WebErrors, WebProblem,
    files::Stamps,
    web::{Reading, Web, read},
};

/// How often the files are looked at, at most: whoever comes in looks, and a flood of connections must not become a
/// flood of system calls.
pub const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// The rules in force and where they came from.
pub(crate) struct Live {
    current: ArcSwap<Web>,
    checked: Mutex<Checked>,
    metrics: Metrics,
}

struct Checked {
    source: Source,
    stamps: Stamps,
    at: Instant,
}

impl Live {
    /// Reads the rules for the first time.
    pub(crate) fn open(source: Source, metrics: Metrics) -> Result<Live, WebErrors> {
        let Reading { web, stamps } = read(&source);
        let web = web?;
        let live = Live {
            current: ArcSwap::new(web.clone()),
            checked: Mutex::new(Checked { source, stamps, at: Instant::now() }),
            metrics,
        };
        live.adopt(web);
        Ok(live)
    }

    /// The rules as they are at this moment. Looks at their files if nobody has for a while.
    pub(crate) async fn current(&self) -> Arc<Web> {
        // Whoever comes while another looks takes what there is.
        if let Ok(mut checked) = self.checked.try_lock()
            && checked.at.elapsed() >= CHECK_INTERVAL
        {
            let stamps = checked.stamps.clone();
            let changed = tokio::task::spawn_blocking(move || stamps.have_changed()).await;
            checked.at = Instant::now();
            if changed.unwrap_or(false) {
                // Logged and counted there.
                let _ = self.read_again(&mut checked).await;
            }
        }
        self.current.load_full()
    }

    pub(crate) fn has_tls(&self) -> bool {
        self.current.load().tls.is_some()
    }

    /// Reads the rules again, from `source`, whether they have changed or not.
    pub(crate) async fn reload(&self, source: Source) -> Result<(), WebErrors> {
        let mut checked = self.checked.lock().await;
        let former = std::mem::replace(&mut checked.source, source);
        let outcome = self.read_again(&mut checked).await;
        if outcome.is_err() && former != checked.source {
            // What is in force still comes from there.
            checked.source = former;
        }
        outcome
    }

    async fn read_again(&self, checked: &mut Checked) -> Result<(), WebErrors> {
        let source = checked.source.clone();
        let reading = tokio::task::spawn_blocking(move || read(&source)).await;
        let Reading { web, stamps } = reading.unwrap_or_else(|error| Reading {
            web: Err(WebErrors::one("the web configuration", "reading", error.to_string())),
            stamps: checked.stamps.clone(),
        });
        checked.stamps = stamps;
        let adopted = web.and_then(|web| self.fits(&web).map(|()| self.adopt(web)));
        let result = if adopted.is_ok() { "ok" } else { "error" };
        self.metrics.web_config_reloads.with_label_values(&[result]).inc();
        self.metrics.web_config_good.set(adopted.is_ok().into());
        match &adopted {
            Ok(()) => {
                tracing::info!(rules = self.current.load().summary(), "the web configuration was read again")
            }
            Err(errors) => {
                tracing::error!(%errors, "the web configuration cannot be used; the last good one stays in force")
            }
        }
        adopted
    }

    /// Clients know an address as http:// or https://, and nobody must lose TLS by a deleted line.
    fn fits(&self, web: &Web) -> Result<(), WebErrors> {
        match (self.current.load().tls.is_some(), web.tls.is_some()) {
            (true, false) => Err(WebErrors::one(
                "the web configuration",
                "TLS",
                "cannot be turned off while the server runs; restart it",
            )),
            (false, true) => Err(WebErrors::one(
                "the web configuration",
                "TLS",
                "cannot be turned on while the server runs; restart it",
            )),
            _ => Ok(()),
        }
    }

    fn adopt(&self, web: Arc<Web>) {
        let expires = web.tls.as_ref().map(|tls| tls.expires);
        self.metrics.web_config_good.set(1);
        self.metrics.certificate_expiry.set(expires.map_or(0.0, |expires| expires.as_secs_f64()));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        if expires.is_some_and(|expires| expires < now) {
            tracing::warn!("the server's certificate has expired; clients will refuse it");
        }
        self.current.store(web);
    }
}

impl WebErrors {
    fn one(source: &str, place: &str, message: impl Into<String>) -> WebErrors {
        let problem = WebProblem { place: place.into(), message: message.into() };
        WebErrors { source: source.into(), problems: vec![problem] }
    }
}
