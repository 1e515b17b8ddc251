//! The effective settings.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use metrifold_agent::PidLiveness;
use metrifold_channel::{ChannelError, Token};
use metrifold_gate::{CertificateFiles, Source};
use metrifold_model::{LabelNames, Namespace};
use metrifold_push::Target;
use metrifold_redis::RedisAddress;
use metrifold_segment::MultiprocDirectory;
use metrifold_session::ArchivePolicy;
use metrifold_telemetry::LogSettings;

use super::{ConfigProblem, Secret};

/// Push intervals that `store.settle` waits by default.
const SETTLE_INTERVALS: u32 = 3;

/// Everything that can be set, section by section. What each setting means stands in the list of `keys.rs`, and in
/// `docs/reference/settings.md`; the defaults are those of the sections.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `http.*`
    pub http: HttpSection,
    /// `web.*`
    pub web: WebSection,
    /// `ingest.*`
    pub ingest: IngestSection,
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
    /// `http.listen`
    pub listen: SocketAddr,
    /// `http.unix_socket`
    pub unix_socket: Option<PathBuf>,
}

impl Default for HttpSection {
    fn default() -> Self {
        HttpSection { listen: SocketAddr::from(([127, 0, 0, 1], 9091)), unix_socket: None }
    }
}

/// Pushes from other processes.
#[derive(Clone, Debug, Default)]
pub struct IngestSection {
    /// `ingest.allow_anonymous`
    pub allow_anonymous: bool,
}

/// Who may come in: a file of rules, or certificate files alone.
#[derive(Clone, Debug, Default)]
pub struct WebSection {
    /// `web.config_file`
    pub config_file: Option<PathBuf>,
    /// `web.cert_file`
    pub cert_file: Option<PathBuf>,
    /// `web.key_file`
    pub key_file: Option<PathBuf>,
    /// `web.client_ca_file`
    pub client_ca_file: Option<PathBuf>,
    /// `web.client_ca_path`
    pub client_ca_path: Option<PathBuf>,
    /// `web.client_auth_required`
    pub client_auth_required: bool,
}

impl WebSection {
    /// Where the rules stand. What does not fit together is found when settings are loaded.
    pub fn source(&self) -> Source {
        match (&self.config_file, &self.cert_file, &self.key_file) {
            (Some(path), ..) => Source::File(path.clone()),
            (None, Some(cert), Some(key)) => Source::Certificates(CertificateFiles {
                cert: cert.clone(),
                key: key.clone(),
                client_ca: self.client_ca_file.clone(),
                client_ca_directory: self.client_ca_path.clone(),
                is_client_auth_required: self.client_auth_required,
            }),
            (None, ..) => Source::Open,
        }
    }

    fn check(&self) -> Vec<ConfigProblem> {
        let given = [
            ("web.cert_file (PROMETHEUS_SSL_CERTFILE)", self.cert_file.is_some()),
            ("web.key_file (PROMETHEUS_SSL_KEYFILE)", self.key_file.is_some()),
            ("web.client_ca_file (PROMETHEUS_SSL_CLIENT_CAFILE)", self.client_ca_file.is_some()),
            ("web.client_ca_path (PROMETHEUS_SSL_CLIENT_CAPATH)", self.client_ca_path.is_some()),
            ("web.client_auth_required (PROMETHEUS_SSL_CLIENT_AUTH_REQUIRED)", self.client_auth_required),
        ];
        let names: Vec<_> = given.iter().filter(|(_, is_given)| *is_given).map(|(name, _)| *name).collect();
        let names = names.join(", ");
        let has_authorities = self.client_ca_file.is_some() || self.client_ca_path.is_some();
        let problem = if names.is_empty() {
            return Vec::new();
        } else if self.config_file.is_some() {
            format!(
                "web.config_file says everything about TLS, so that {names} would be ignored; move it to \
                 tls_server_config in that file, or leave web.config_file out"
            )
        } else if self.cert_file.is_none() || self.key_file.is_none() {
            format!(
                "{names}: TLS needs both web.cert_file (PROMETHEUS_SSL_CERTFILE) and web.key_file \
                 (PROMETHEUS_SSL_KEYFILE)"
            )
        } else if self.client_auth_required && !has_authorities {
            "web.client_auth_required needs the authorities that sign the certificates of your clients; name them by \
             web.client_ca_file (PROMETHEUS_SSL_CLIENT_CAFILE) or web.client_ca_path (PROMETHEUS_SSL_CLIENT_CAPATH)"
                .to_owned()
        } else {
            return Vec::new();
        };
        vec![ConfigProblem::Combination(problem)]
    }
}

/// The embedded store, and how any store comes back.
#[derive(Clone, Debug)]
pub struct StoreSection {
    /// `store.data_dir`
    pub data_dir: Option<PathBuf>,
    /// `store.settle`
    pub settle: Option<Duration>,
    /// `store.restore_grace`
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
    /// `redis.url`
    pub url: Option<RedisAddress>,
    /// `redis.namespace`
    pub namespace: Namespace,
    /// `redis.shards`
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
    /// `upstream.target`
    pub target: Option<Target>,
    /// `upstream.token`
    pub token: Option<Secret>,
    /// `upstream.token_file`
    pub token_file: Option<PathBuf>,
}

impl UpstreamSection {
    /// The token or its file.
    ///
    /// # Errors
    /// If both are given, or it cannot be one.
    pub fn token(&self) -> Result<Token, ChannelError> {
        let token = self.token.as_ref().map(|token| token.reveal().to_owned());
        Token::new(token, self.token_file.clone())
    }
}

/// The watcher of the segment directory.
#[derive(Clone, Debug)]
pub struct AgentSection {
    /// `agent.segment_dir`
    pub segment_dir: PathBuf,
    /// `agent.linger`
    pub linger: Duration,
    /// `agent.exit_when_idle`
    pub exit_when_idle: bool,
    /// `agent.push_interval`
    pub push_interval: Duration,
    /// `agent.multiproc_dir`
    pub multiproc_dir: Option<PathBuf>,
    /// `agent.liveness`
    pub liveness: PidLiveness,
    /// `agent.cleanup`
    pub cleanup: bool,
    /// `agent.instance`
    pub instance: Option<String>,
}

impl Default for AgentSection {
    fn default() -> Self {
        AgentSection {
            segment_dir: metrifold_segment::default_path(),
            linger: Duration::from_secs(10),
            exit_when_idle: false,
            push_interval: Duration::from_secs(1),
            multiproc_dir: None,
            liveness: PidLiveness::Pid,
            cleanup: false,
            instance: None,
        }
    }
}

/// Most labels in `workers.archive_labels`.
pub(super) const ARCHIVE_LABELS_MAX: usize = 4;

/// When workers count as dead and what is kept of them.
#[derive(Clone, Debug)]
pub struct WorkersSection {
    /// `workers.ttl`
    pub ttl: Duration,
    /// `workers.ttl_disabled`
    pub ttl_disabled: bool,
    /// `workers.gauge_retention`
    pub gauge_retention: Option<Duration>,
    /// `workers.tombstone_lifetime`
    pub tombstone_lifetime: Duration,
    /// `workers.host_label`
    pub host_label: bool,
    /// `workers.per_worker_labels`
    pub per_worker_labels: LabelNames,
    /// `workers.archive_labels`
    pub archive_labels: LabelNames,
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
            archive_labels: LabelNames::default(),
        }
    }
}

/// The merged view.
#[derive(Clone, Debug)]
pub struct ExporterSection {
    /// `exporter.scrape_timeout`
    pub scrape_timeout: Duration,
    /// `exporter.serve_stale`
    pub serve_stale: Duration,
    /// `exporter.own_metrics`
    pub own_metrics: bool,
    /// `exporter.sidecar_metrics`
    pub sidecar_metrics: bool,
    /// `exporter.group_by`
    pub group_by: LabelNames,
}

impl Default for ExporterSection {
    fn default() -> Self {
        ExporterSection {
            scrape_timeout: Duration::from_secs(10),
            serve_stale: Duration::ZERO,
            own_metrics: false,
            sidecar_metrics: false,
            group_by: LabelNames::default(),
        }
    }
}

impl Settings {
    /// `store.settle` as given, else three push intervals.
    pub fn settle(&self) -> Duration {
        self.store.settle.unwrap_or(self.agent.push_interval * SETTLE_INTERVALS)
    }

    /// `store.data_dir` as given; with a multiprocess directory a hidden folder in it, so that totals survive a restart as
    /// the files do.
    pub fn data_dir(&self) -> Option<PathBuf> {
        let beside_files = || {
            let directory = self.agent.multiproc_dir.as_deref().filter(|_| self.redis.url.is_none());
            directory.map(MultiprocDirectory::folder_of)
        };
        self.store.data_dir.clone().or_else(beside_files)
    }

    /// Where a server that ends with its workers keeps its archive unless something else is said: beside their segments, so
    /// that it outlives a kill of the server, and nothing outlives the segments' memory.
    pub fn local_data_dir(&self) -> Option<PathBuf> {
        let is_local = self.agent.exit_when_idle && self.redis.url.is_none() && self.data_dir().is_none();
        is_local.then(|| self.agent.segment_dir.join("store"))
    }

    /// `agent.instance` as given, else the host's name.
    pub fn instance(&self) -> String {
        let host_name = || gethostname::gethostname().to_string_lossy().into_owned();
        self.agent.instance.clone().unwrap_or_else(host_name)
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

    /// What is kept of sources that are folded.
    pub fn archive_policy(&self) -> ArchivePolicy {
        ArchivePolicy {
            per_worker_labels: self.workers.per_worker_labels.clone(),
            archive_labels: self.workers.archive_labels.clone(),
            ..ArchivePolicy::default()
        }
    }

    /// Checks what no key can check alone.
    pub(super) fn complete(&self) -> Vec<ConfigProblem> {
        let mut problems = self.web.check();
        if let Err(error) = self.upstream.token() {
            problems
                .push(ConfigProblem::Combination(format!("upstream.token and upstream.token_file: {error}")));
        }
        if self.gauge_retention() > self.workers.tombstone_lifetime {
            problems.push(ConfigProblem::Combination(format!(
                "workers.gauge_retention ({}) is longer than workers.tombstone_lifetime ({}), which keeps the \
                 gauges; lower the one or raise the other",
                humantime::format_duration(self.gauge_retention()),
                humantime::format_duration(self.workers.tombstone_lifetime),
            )));
        }
        if !self.exporter.group_by.is_subset(&self.workers.archive_labels) {
            problems.push(ConfigProblem::Combination(
                "exporter.group_by names labels that workers.archive_labels does not, so that counters would fall when \
                 workers end; add them there"
                    .into(),
            ));
        }
        if self.redis.url.is_some() && self.store.data_dir.is_some() {
            problems.push(ConfigProblem::Combination(
                "store.data_dir belongs to the embedded store and redis.url replaces it; give one of them"
                    .into(),
            ));
        }
        if self.agent.multiproc_dir.is_some() && self.agent.cleanup && self.agent.liveness == PidLiveness::Off
        {
            problems.push(ConfigProblem::Combination(
                "agent.cleanup (CLEANUP_DB_FILES) removes the files of dead processes and agent.liveness = off finds \
                 nobody dead; give one of them"
                    .into(),
            ));
        }
        problems
    }
}
