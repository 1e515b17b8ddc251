//! What gunicorn-prometheus-exporter's sidecar says of itself, under its names, so that dashboards go on.

use std::time::Instant;

use prometheus::{
    Gauge, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use crate::Metrics;

/// What the names begin with.
pub const SIDECAR_PREFIX: &str = "gunicorn_sidecar_";

/// The four metrics, made of our own ones when they are gathered.
#[derive(Debug)]
pub struct SidecarMetrics {
    start: Instant,
    metrics: Metrics,
    uptime: Gauge,
    bytes: Gauge,
    files: Gauge,
    is_connected: Gauge,
}

impl SidecarMetrics {
    /// Begins to count the time from now.
    ///
    /// # Errors
    /// Never: the names are good.
    pub fn new(metrics: Metrics) -> Result<SidecarMetrics, prometheus::Error> {
        let gauge =
            |name: &str, help: &str| Gauge::with_opts(Opts::new(format!("{SIDECAR_PREFIX}{name}"), help));
        Ok(SidecarMetrics {
            start: Instant::now(),
            metrics,
            uptime: gauge("uptime_seconds", "How long this server has run.")?,
            bytes: gauge(
                "multiproc_dir_size_bytes",
                "What the files of the multiprocess directory take on disk.",
            )?,
            files: gauge("multiproc_files_count", "Files in the multiprocess directory.")?,
            is_connected: gauge(
                "redis_connected",
                "1 if the last pass over the store went without an error, else 0.",
            )?,
        })
    }

    fn gauges(&self) -> [&Gauge; 4] {
        [&self.uptime, &self.bytes, &self.files, &self.is_connected]
    }
}

impl Collector for SidecarMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.gauges().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.uptime.set(self.start.elapsed().as_secs_f64());
        self.bytes.set(self.metrics.files_bytes.get() as f64);
        let states = ["live", "dead", "kept", "corrupt"];
        let files = states.iter().map(|state| self.metrics.files.with_label_values(&[*state]).get());
        self.files.set(files.sum::<i64>() as f64);
        self.is_connected.set(self.metrics.store_up.with_label_values(&["own"]).get() as f64);
        self.gauges().into_iter().flat_map(Collector::collect).collect()
    }
}

#[cfg(test)]
mod tests {
    use prometheus::Registry;

    use super::*;

    #[test]
    fn the_guides_sidecar_metrics_are_made_of_our_own() -> Result<(), prometheus::Error> {
        let metrics = Metrics::register(&Registry::new())?;
        metrics.files_bytes.set(4_096);
        metrics.files.with_label_values(&["live"]).set(3);
        metrics.files.with_label_values(&["kept"]).set(2);
        metrics.store_up.with_label_values(&["own"]).set(1);
        let registry = Registry::new();
        registry.register(Box::new(SidecarMetrics::new(metrics)?))?;
        let gathered = registry.gather();
        let value = |name: &str| {
            let family = gathered.iter().find(|family| family.name() == format!("gunicorn_sidecar_{name}"));
            family.map(|family| family.get_metric()[0].get_gauge().get_value())
        };
        assert_eq!(value("multiproc_dir_size_bytes"), Some(4_096.0));
        assert_eq!(value("multiproc_files_count"), Some(5.0));
        assert_eq!(value("redis_connected"), Some(1.0));
        assert!(value("uptime_seconds").is_some_and(|seconds| seconds > 0.0));
        Ok(())
    }
}
