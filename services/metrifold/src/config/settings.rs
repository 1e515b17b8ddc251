//! The effective settings.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use metrifold_dial::RedisAddress;
use metrifold_model::{LabelNames, Namespace};
use metrifold_telemetry::LogSettings;

use super::{ConfigProblem, Target};

/// Push intervals that `store.settle` waits by default.
const SETTLE_INTERVALS: u32 = 3;

/// Everything that can be set, section by section. See `metrifold check-config` for keys and effective values.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `http.*`
    pub http: HttpSection,
    /// `store.*`
    pub store: StoreSection,
    /// `redis.*`
    pub redis: RedisSection,
    /// `upstream.*`
    pub upstream: UpstreamSection,
    /// `agent.*`
    pub agent: AgentSection,
    /// `workers.*`
    pub workers: WorkersSection,
    /// `exporter.*`
    pub exporter: ExporterSection,
    /// `log.*`
    pub log: LogSettings,
}

/// The one listener for HTTP and gRPC.
#[derive(Clone, Debug)]
pub struct HttpSection {
    /// Address to listen on; port 0 takes a free one. Default 127.0.0.1:9091.
    pub listen: SocketAddr,
    /// Path of a unix socket that serves the same.
    pub unix_socket: Option<PathBuf>,
}

impl Default for HttpSection {
    fn default() -> Self {
        HttpSection { listen: SocketAddr::from(([127, 0, 0, 1], 9091)), unix_socket: None }
    }
}

/// The embedded store, and how any store comes back.
#[derive(Clone, Debug)]
pub struct StoreSection {
    /// Where the embedded store keeps archive and tombstones over a restart. None: in memory only.
    pub data_dir: Option<PathBuf>,
    /// Time that others are given to bring something newer after a store came back. Default 3 push intervals.
    pub settle: Option<Duration>,
    /// How long a server with an empty memory waits before it opens a store that came back empty. Default 2 s.
    pub restore_grace: Duration,
}

impl Default for StoreSection {
    fn default() -> Self {
        StoreSection { data_dir: None, settle: None, restore_grace: Duration::from_secs(2) }
    }
}

/// Redis as the store.
#[derive(Clone, Debug)]
pub struct RedisSection {
    /// Address of the Redis that is the store; none: the embedded store.
    pub url: Option<RedisAddress>,
    /// The namespace that sources go to and `/metrics` shows unless they say otherwise. Default `metrifold`.
    pub namespace: Namespace,
    /// Shards that a namespace is split into. Must be the same for every server and pusher of one Redis. Default 1.
    pub shards: u16,
}

impl Default for RedisSection {
    fn default() -> Self {
        RedisSection { url: None, namespace: Namespace::default(), shards: 1 }
    }
}

/// Where this host's sources are pushed on to.
#[derive(Clone, Debug, Default)]
pub struct UpstreamSection {
    /// `http://host:port`, `unix:/path.sock` or `redis://…`; none: nowhere.
    pub target: Option<Target>,
}

/// The watcher of the segment directory.
#[derive(Clone, Debug)]
pub struct AgentSection {
    /// The directory; default `/dev/shm/metrifold-<uid>`, or the temporary directory where there is no `/dev/shm`.
    pub segment_dir: PathBuf,
    /// How long to go on after the last segment has ended, with `agent.exit_when_idle`. Default 10 s.
    pub linger: Duration,
    /// Whether to end by itself after the last segment. Default false.
    pub exit_when_idle: bool,
    /// Time between two pushes of one source. Default 1 s.
    pub push_interval: Duration,
}

impl Default for AgentSection {
    fn default() -> Self {
        AgentSection {
            segment_dir: metrifold_segment::default_path(),
            linger: Duration::from_secs(10),
            exit_when_idle: false,
            push_interval: Duration::from_secs(1),
        }
    }
}

/// When workers count as dead and what is kept of them.
#[derive(Clone, Debug)]
pub struct WorkersSection {
    /// Time after the last push at which a source counts as dead. Default 300 s.
    pub ttl: Duration,
    /// Whether only explicit ends count, and silence never. Default false.
    pub ttl_disabled: bool,
    /// How long a dead worker's own gauge series are shown. Default: `workers.ttl`.
    pub gauge_retention: Option<Duration>,
    /// How long a dead source may come back without being counted twice. Default 24 h.
    pub tombstone_lifetime: Duration,
    /// Whether per-worker series carry the label `host` besides `pid`. Default false.
    pub host_label: bool,
    /// Series with any of these labels end with their worker: nothing of them is archived. The same for every server of a
    /// namespace, and from its first use on: what was archived before stays. Default none.
    pub per_worker_labels: LabelNames,
}

impl Default for WorkersSection {
    fn default() -> Self {
        WorkersSection {
            ttl: Duration::from_secs(300),
            ttl_disabled: false,
            gauge_retention: None,
            tombstone_lifetime: Duration::from_secs(24 * 3600),
            host_label: false,
            per_worker_labels: LabelNames::default(),
        }
    }
}

/// The merged view.
#[derive(Clone, Debug)]
pub struct ExporterSection {
    /// Longest time that a scrape may take; Prometheus's own time-out counts if it is shorter. Default 10 s.
    pub scrape_timeout: Duration,
}

impl Default for ExporterSection {
    fn default() -> Self {
        ExporterSection { scrape_timeout: Duration::from_secs(10) }
    }
}

impl Settings {
    /// `store.settle` as given, else three push intervals.
    pub fn settle(&self) -> Duration {
        self.store.settle.unwrap_or(self.agent.push_interval * SETTLE_INTERVALS)
    }

    /// `workers.ttl` unless it is disabled.
    pub fn ttl(&self) -> Option<Duration> {
        (!self.workers.ttl_disabled).then_some(self.workers.ttl)
    }

    /// `workers.gauge_retention` as given, else the time to live, but never beyond the tombstone.
    pub fn gauge_retention(&self) -> Duration {
        let default = self.workers.ttl.min(self.workers.tombstone_lifetime);
        self.workers.gauge_retention.unwrap_or(default)
    }

    /// Checks what no key can check alone.
    pub(super) fn complete(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        if self.gauge_retention() > self.workers.tombstone_lifetime {
            problems.push(ConfigProblem::Combination(format!(
                "workers.gauge_retention ({}) is longer than workers.tombstone_lifetime ({}), which keeps the \
                 gauges; lower the one or raise the other",
                humantime::format_duration(self.gauge_retention()),
                humantime::format_duration(self.workers.tombstone_lifetime),
            )));
        }
        if self.redis.url.is_some() && self.store.data_dir.is_some() {
            problems.push(ConfigProblem::Combination(
                "store.data_dir belongs to the embedded store and redis.url replaces it; give one of them"
                    .into(),
            ));
        }
        problems
    }
}
