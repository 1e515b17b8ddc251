//! The own metrics as typed handles.

use prometheus::{
    Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    core::Collector,
};

use crate::names::{self, MetricName};

/// Handles of all own metrics; clones share their values.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// [`names::PUSHES`], label `answer`.
    pub pushes: IntCounterVec,
    /// [`names::PUSHES_REFUSED`], label `reason`.
    pub pushes_refused: IntCounterVec,
    /// [`names::FOLDED`].
    pub folded: IntCounter,
    /// [`names::TRIMMED`].
    pub trimmed: IntCounter,
    /// [`names::COMMIT_CONFLICTS`].
    pub commit_conflicts: IntCounter,
    /// [`names::RESTORES`].
    pub restores: IntCounter,
    /// [`names::REAPER_PASSES`].
    pub reaper_passes: IntCounter,
    /// [`names::STORE_UP`], label `store`.
    pub store_up: IntGaugeVec,
    /// [`names::STORE_ERRORS`], label `operation`.
    pub store_errors: IntCounterVec,
    /// [`names::SCRAPES`], label `result`.
    pub scrapes: IntCounterVec,
    /// [`names::SCRAPE_DURATION`], in seconds.
    pub scrape_duration: Histogram,
    /// [`names::SOURCES`], labels `namespace` and `state`.
    pub sources: IntGaugeVec,
    /// [`names::SAMPLES`], label `namespace`.
    pub samples: IntGaugeVec,
    /// [`names::SEGMENTS`], label `state`.
    pub segments: IntGaugeVec,
    /// [`names::SEGMENTS_FINISHED`].
    pub segments_finished: IntCounter,
    /// [`names::FILES`], label `state`.
    pub files: IntGaugeVec,
    /// [`names::FILES_FINISHED`].
    pub files_finished: IntCounter,
    /// [`names::FILES_REMOVED`].
    pub files_removed: IntCounter,
    /// [`names::FILES_BYTES`].
    pub files_bytes: IntGauge,
    /// [`names::LEDGER_ERRORS`].
    pub ledger_errors: IntCounter,
    /// [`names::CONFLICTS`], label `namespace`.
    pub conflicts: IntGaugeVec,
    /// [`names::VIEW_RESETS`], label `namespace`.
    pub view_resets: IntCounterVec,
    /// [`names::REQUESTS_REFUSED`], label `reason`.
    pub requests_refused: IntCounterVec,
    /// [`names::HANDSHAKES`], label `result`.
    pub handshakes: IntCounterVec,
    /// [`names::WEB_CONFIG_RELOADS`], label `result`.
    pub web_config_reloads: IntCounterVec,
    /// [`names::WEB_CONFIG_GOOD`].
    pub web_config_good: IntGauge,
    /// [`names::CERTIFICATE_EXPIRY`].
    pub certificate_expiry: Gauge,
    /// [`names::BUILD`], label `version`.
    pub build: IntGaugeVec,
}

impl Metrics {
    /// Makes all of them and registers them.
    ///
    /// # Errors
    /// If the registry holds one of the names already.
    pub fn register(registry: &Registry) -> Result<Metrics, prometheus::Error> {
        let counter = |name: MetricName| add(registry, IntCounter::with_opts(options(name))?);
        let counters = |name: MetricName| add(registry, IntCounterVec::new(options(name), name.labels)?);
        let gauge = |name: MetricName| add(registry, IntGauge::with_opts(options(name))?);
        let gauges = |name: MetricName| add(registry, IntGaugeVec::new(options(name), name.labels)?);
        let duration = HistogramOpts::from(options(names::SCRAPE_DURATION));
        Ok(Metrics {
            pushes: counters(names::PUSHES)?,
            pushes_refused: counters(names::PUSHES_REFUSED)?,
            folded: counter(names::FOLDED)?,
            trimmed: counter(names::TRIMMED)?,
            commit_conflicts: counter(names::COMMIT_CONFLICTS)?,
            restores: counter(names::RESTORES)?,
            reaper_passes: counter(names::REAPER_PASSES)?,
            store_up: gauges(names::STORE_UP)?,
            store_errors: counters(names::STORE_ERRORS)?,
            scrapes: counters(names::SCRAPES)?,
            scrape_duration: add(registry, Histogram::with_opts(duration)?)?,
            sources: gauges(names::SOURCES)?,
            samples: gauges(names::SAMPLES)?,
            segments: gauges(names::SEGMENTS)?,
            segments_finished: counter(names::SEGMENTS_FINISHED)?,
            files: gauges(names::FILES)?,
            files_finished: counter(names::FILES_FINISHED)?,
            files_removed: counter(names::FILES_REMOVED)?,
            files_bytes: gauge(names::FILES_BYTES)?,
            ledger_errors: counter(names::LEDGER_ERRORS)?,
            conflicts: gauges(names::CONFLICTS)?,
            view_resets: counters(names::VIEW_RESETS)?,
            requests_refused: counters(names::REQUESTS_REFUSED)?,
            handshakes: counters(names::HANDSHAKES)?,
            web_config_reloads: counters(names::WEB_CONFIG_RELOADS)?,
            web_config_good: gauge(names::WEB_CONFIG_GOOD)?,
            certificate_expiry: add(registry, Gauge::with_opts(options(names::CERTIFICATE_EXPIRY))?)?,
            build: gauges(names::BUILD)?,
        })
    }
}

fn options(name: MetricName) -> Opts {
    Opts::new(name.name, name.help)
}

fn add<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_of_the_list_is_registered_under_its_name() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).expect("a new registry has no clash");
        metrics.pushes.with_label_values(&["ok"]).inc();
        metrics.pushes_refused.with_label_values(&["not_finite"]).inc();
        metrics.store_up.with_label_values(&["own"]).set(1);
        metrics.build.with_label_values(&["1.0"]).set(1);
        metrics.store_errors.with_label_values(&["push"]).inc();
        metrics.scrapes.with_label_values(&["ok"]).inc();
        metrics.sources.with_label_values(&["metrifold", "live"]).set(1);
        metrics.samples.with_label_values(&["metrifold"]).set(1);
        metrics.segments.with_label_values(&["live"]).set(1);
        metrics.files.with_label_values(&["live"]).set(1);
        metrics.conflicts.with_label_values(&["metrifold"]).set(1);
        metrics.view_resets.with_label_values(&["metrifold"]).inc();
        metrics.requests_refused.with_label_values(&["rate_limit"]).inc();
        metrics.handshakes.with_label_values(&["ok"]).inc();
        metrics.web_config_reloads.with_label_values(&["ok"]).inc();
        let mut listed: Vec<_> = names::ALL.iter().map(|name| name.name.to_owned()).collect();
        listed.sort();
        let gathered: Vec<_> = registry.gather().iter().map(|family| family.name().to_owned()).collect();
        assert_eq!(gathered, listed);
    }

    #[test]
    fn a_second_registration_on_one_registry_is_an_error() {
        let registry = Registry::new();
        Metrics::register(&registry).expect("a new registry has no clash");
        assert!(Metrics::register(&registry).is_err());
    }
}
