//! The list of all settings: all that is known of one stands in its entry here, but for its field and default in
//! `settings.rs`. Flags, variables of the environment and `docs/reference/settings.md` are made of this list.

use std::{
    fmt::Display,
    net::{SocketAddr, ToSocketAddrs},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use metrifold_agent::PidLiveness;
use metrifold_model::{LabelNames, Namespace, limits};
use metrifold_push::{Target, TargetError};
use metrifold_redis::RedisError;

use super::{Secret, Settings, settings::ARCHIVE_LABELS_MAX};

/// One setting.
pub(crate) struct Key {
    /// Dotted name.
    pub(crate) name: &'static str,
    /// What a value looks like.
    pub(crate) form: &'static str,
    /// What it does.
    pub(crate) help: &'static str,
    /// Its flag, without dashes.
    pub(crate) flag: Option<&'static str>,
    /// Variables that name it besides `METRIFOLD_SECTION__NAME`, the weakest first.
    pub(crate) variables: &'static [&'static str],
    /// Reads a value into the settings; the error says what to write instead.
    pub(crate) set: fn(&mut Settings, &str) -> Result<(), String>,
    /// The effective value, without secrets.
    pub(crate) show: fn(&Settings) -> String,
}

/// Every setting, in the order of `check-config`.
pub(crate) const ALL: &[Key] = &[
    Key {
        name: "http.listen",
        form: "HOST:PORT",
        help: "Address for HTTP and gRPC; port 0 takes a free one. `PROMETHEUS_BIND_ADDRESS` and \
               `PROMETHEUS_METRICS_PORT` name it too.",
        flag: Some("listen"),
        variables: &[],
        set: |to, text| address(text).map(|value| to.http.listen = value),
        show: |of| of.http.listen.to_string(),
    },
    Key {
        name: "http.unix_socket",
        form: "PATH",
        help: "Unix socket that serves the same.",
        flag: Some("unix-socket"),
        variables: &[],
        set: |to, text| path(text).map(|value| to.http.unix_socket = Some(value)),
        show: |of| optional(of.http.unix_socket.as_ref().map(|path| path.display())),
    },
    Key {
        name: "ingest.allow_anonymous",
        form: "true | false",
        help: "Take pushes from other hosts though nobody is asked for credentials. Otherwise a server without users, tokens or client \
               certificates takes those of its own host only.",
        flag: Some("allow-anonymous"),
        variables: &[],
        set: |to, text| truth(text).map(|value| to.ingest.allow_anonymous = value),
        show: |of| of.ingest.allow_anonymous.to_string(),
    },
    Key {
        name: "web.config_file",
        form: "PATH",
        help: "A `web.config.yml` as Prometheus's exporters read it: TLS, passwords, tokens, limits. Without one: \
               plain text, and everybody may come in.",
        flag: None,
        variables: &[],
        set: |to, text| path(text).map(|value| to.web.config_file = Some(value)),
        show: |of| optional(of.web.config_file.as_ref().map(|path| path.display())),
    },
    Key {
        name: "web.cert_file",
        form: "PATH",
        help: "The server's certificate, without a `web.config.yml`.",
        flag: None,
        variables: &["PROMETHEUS_SSL_CERTFILE"],
        set: |to, text| path(text).map(|value| to.web.cert_file = Some(value)),
        show: |of| optional(of.web.cert_file.as_ref().map(|path| path.display())),
    },
    Key {
        name: "web.key_file",
        form: "PATH",
        help: "Its key.",
        flag: None,
        variables: &["PROMETHEUS_SSL_KEYFILE"],
        set: |to, text| path(text).map(|value| to.web.key_file = Some(value)),
        show: |of| optional(of.web.key_file.as_ref().map(|path| path.display())),
    },
    Key {
        name: "web.client_ca_file",
        form: "PATH",
        help: "Authorities that sign the certificates of clients, in one file.",
        flag: None,
        variables: &["PROMETHEUS_SSL_CLIENT_CAFILE"],
        set: |to, text| path(text).map(|value| to.web.client_ca_file = Some(value)),
        show: |of| optional(of.web.client_ca_file.as_ref().map(|path| path.display())),
    },
    Key {
        name: "web.client_ca_path",
        form: "DIR",
        help: "Authorities that sign the certificates of clients, in the files of a directory.",
        flag: None,
        variables: &["PROMETHEUS_SSL_CLIENT_CAPATH"],
        set: |to, text| path(text).map(|value| to.web.client_ca_path = Some(value)),
        show: |of| optional(of.web.client_ca_path.as_ref().map(|path| path.display())),
    },
    Key {
        name: "web.client_auth_required",
        form: "true | false",
        help: "Clients must show a certificate of these authorities.",
        flag: None,
        variables: &["PROMETHEUS_SSL_CLIENT_AUTH_REQUIRED"],
        set: |to, text| truth(text).map(|value| to.web.client_auth_required = value),
        show: |of| of.web.client_auth_required.to_string(),
    },
    Key {
        name: "store.data_dir",
        form: "DIR",
        help: "Where the embedded store keeps its archive over restarts. With `agent.multiproc_dir` a hidden folder in that \
               directory; with `agent.exit_when_idle` the folder `store` in `agent.segment_dir`, which goes when the server \
               ends for want of workers. Not with `redis.url`.",
        flag: Some("data-dir"),
        variables: &[],
        set: |to, text| path(text).map(|value| to.store.data_dir = Some(value)),
        show: |of| {
            optional(of.data_dir().or_else(|| of.local_data_dir()).as_ref().map(|path| path.display()))
        },
    },
    Key {
        name: "store.settle",
        form: "SPAN",
        help: "Time that others are given to bring something newer after a store came back. Unless it is set: \
               three times `agent.push_interval`.",
        flag: None,
        variables: &[],
        set: |to, text| span(text).map(|value| to.store.settle = Some(value)),
        show: |of| shown(of.settle()),
    },
    Key {
        name: "store.restore_grace",
        form: "SPAN",
        help: "How long a server with an empty memory waits before it opens a store that came back empty.",
        flag: None,
        variables: &[],
        set: |to, text| span_or_zero(text).map(|value| to.store.restore_grace = value),
        show: |of| shown(of.store.restore_grace),
    },
    Key {
        name: "redis.url",
        form: "URL",
        help: "Redis as the store: `redis://`, `rediss://`, `redis-sentinel://` or `redis-cluster://`. Without \
               it, the embedded store. With `REDIS_ENABLED`, `REDIS_HOST`, `REDIS_PORT`, `REDIS_DB`, \
               `REDIS_PASSWORD` and `REDIS_SSL` name it.",
        flag: Some("redis-url"),
        variables: &[],
        set: |to, text| {
            text.parse()
                .map(|value| to.redis.url = Some(value))
                .map_err(|error: RedisError| error.to_string())
        },
        show: |of| optional(of.redis.url.as_ref()),
    },
    Key {
        name: "redis.namespace",
        form: "NAME",
        help: "The namespace that sources go to, and `/metrics` shows, unless they say otherwise. With \
               `REDIS_ENABLED` its default is `gunicorn`.",
        flag: Some("namespace"),
        variables: &["REDIS_KEY_PREFIX", "METRIFOLD_NAMESPACE"],
        set: |to, text| {
            Namespace::new(text).map(|value| to.redis.namespace = value).map_err(|error| error.to_string())
        },
        show: |of| of.redis.namespace.to_string(),
    },
    Key {
        name: "redis.shards",
        form: "NUMBER",
        help: "Shards that a namespace is split into. The same for every server and pusher of one Redis.",
        flag: None,
        variables: &[],
        set: |to, text| shards(text).map(|value| to.redis.shards = value),
        show: |of| of.redis.shards.to_string(),
    },
    Key {
        name: "upstream.target",
        form: "URL",
        help: "Where to push this host's sources on to: `http(s)://HOST:PORT`, `unix:/PATH` or `redis://…`.",
        flag: Some("to"),
        variables: &[],
        set: |to, text| upstream(text).map(|value| to.upstream.target = Some(value)),
        show: |of| optional(of.upstream.target.as_ref()),
    },
    Key {
        name: "upstream.token",
        form: "TOKEN",
        help: "What is shown to a collector that asks for credentials.",
        flag: None,
        variables: &["METRIFOLD_TOKEN"],
        set: |to, text| {
            to.upstream.token = Some(Secret::new(text));
            Ok(())
        },
        show: |of| optional(of.upstream.token.as_ref()),
    },
    Key {
        name: "upstream.token_file",
        form: "PATH",
        help: "A file that holds the token, read again when it changes.",
        flag: None,
        variables: &["METRIFOLD_TOKEN_FILE"],
        set: |to, text| path(text).map(|value| to.upstream.token_file = Some(value)),
        show: |of| optional(of.upstream.token_file.as_ref().map(|path| path.display())),
    },
    Key {
        name: "agent.segment_dir",
        form: "DIR",
        help: "Directory of this host's segments. `METRIFOLD_TARGET=local:DIR` names it too.",
        flag: Some("segment-dir"),
        variables: &[],
        set: |to, text| path(text).map(|value| to.agent.segment_dir = value),
        show: |of| of.agent.segment_dir.display().to_string(),
    },
    Key {
        name: "agent.linger",
        form: "SPAN",
        help: "How long to go on after the last segment has ended, with `agent.exit_when_idle`.",
        flag: None,
        variables: &[],
        set: |to, text| span_or_zero(text).map(|value| to.agent.linger = value),
        show: |of| shown(of.agent.linger),
    },
    Key {
        name: "agent.exit_when_idle",
        form: "true | false",
        help: "End by itself after the last segment has ended.",
        flag: Some("exit-when-idle"),
        variables: &[],
        set: |to, text| truth(text).map(|value| to.agent.exit_when_idle = value),
        show: |of| of.agent.exit_when_idle.to_string(),
    },
    Key {
        name: "agent.push_interval",
        form: "SPAN",
        help: "Time between two pushes of one source, `10ms` to `300s`.",
        flag: None,
        variables: &["METRIFOLD_PUSH_INTERVAL"],
        set: |to, text| push_interval(text).map(|value| to.agent.push_interval = value),
        show: |of| shown(of.agent.push_interval),
    },
    Key {
        name: "agent.multiproc_dir",
        form: "DIR",
        help: "A directory that prometheus_client's multiprocess mode writes; an empty one is none.",
        flag: Some("multiproc-dir"),
        variables: &["prometheus_multiproc_dir", "PROMETHEUS_MULTIPROC_DIR"],
        set: |to, text| {
            // Empty on purpose: a flag that overrides a variable which is meant for others.
            to.agent.multiproc_dir = Some(text).filter(|text| !text.is_empty()).map(PathBuf::from);
            Ok(())
        },
        show: |of| optional(of.agent.multiproc_dir.as_ref().map(|path| path.display())),
    },
    Key {
        name: "agent.liveness",
        form: "pid | off",
        help: "How the process of such a file is found dead. `off` is for processes on other hosts or in other \
               pid namespaces: their files live until they are removed.",
        flag: None,
        variables: &[],
        set: |to, text| liveness(text).map(|value| to.agent.liveness = value),
        show: |of| match of.agent.liveness {
            PidLiveness::Pid => "pid".into(),
            PidLiveness::Off => "off".into(),
        },
    },
    Key {
        name: "agent.cleanup",
        form: "true | false",
        help: "Remove such files once their process is dead and their values are in the archive.",
        flag: None,
        variables: &["CLEANUP_DB_FILES"],
        set: |to, text| truth(text).map(|value| to.agent.cleanup = value),
        show: |of| of.agent.cleanup.to_string(),
    },
    Key {
        name: "agent.instance",
        form: "NAME",
        help: "Host, pod or container of the processes that write such files.",
        flag: None,
        variables: &["METRIFOLD_INSTANCE"],
        set: |to, text| instance(text).map(|value| to.agent.instance = Some(value)),
        show: |of| of.instance(),
    },
    Key {
        name: "workers.ttl",
        form: "SPAN",
        help: "Time after the last push at which a source counts as dead. `REDIS_TTL_SECONDS` is the same in \
               seconds.",
        flag: None,
        variables: &[],
        set: |to, text| span(text).map(|value| to.workers.ttl = value),
        show: |of| shown(of.workers.ttl),
    },
    Key {
        name: "workers.ttl_disabled",
        form: "true | false",
        help: "Only an explicit end counts as death, and silence never does.",
        flag: None,
        variables: &["REDIS_TTL_DISABLED"],
        set: |to, text| truth(text).map(|value| to.workers.ttl_disabled = value),
        show: |of| of.workers.ttl_disabled.to_string(),
    },
    Key {
        name: "workers.gauge_retention",
        form: "SPAN",
        help: "How long a dead worker's own gauge series are shown. Unless it is set: `workers.ttl`, and never \
               longer than `workers.tombstone_lifetime`.",
        flag: None,
        variables: &[],
        set: |to, text| span_or_zero(text).map(|value| to.workers.gauge_retention = Some(value)),
        show: |of| shown(of.gauge_retention()),
    },
    Key {
        name: "workers.tombstone_lifetime",
        form: "SPAN",
        help: "How long a dead source may come back without being counted twice.",
        flag: None,
        variables: &[],
        set: |to, text| span(text).map(|value| to.workers.tombstone_lifetime = value),
        show: |of| shown(of.workers.tombstone_lifetime),
    },
    Key {
        name: "workers.host_label",
        form: "true | false",
        help: "Per-worker series carry the label `host` besides `pid`.",
        flag: None,
        variables: &[],
        set: |to, text| truth(text).map(|value| to.workers.host_label = value),
        show: |of| of.workers.host_label.to_string(),
    },
    Key {
        name: "workers.per_worker_labels",
        form: "NAMES",
        help: "Series with any of these labels end with their worker: nothing of them is archived. The same for \
               every server of a namespace, and from its first use on: what was archived before stays.",
        flag: None,
        variables: &[],
        set: |to, text| label_names(text).map(|value| to.workers.per_worker_labels = value),
        show: |of| of.workers.per_worker_labels.iter().collect::<Vec<_>>().join(","),
    },
    Key {
        name: "workers.archive_labels",
        form: "NAMES",
        help: "Labels of workers (`host`, and those of `METRIFOLD_LABELS`) that survive folding, so that views \
               can be grouped by them. Each combination of their values has archived series of its own; at most \
               4. The same for every server of a namespace; what was archived before stays without them.",
        flag: None,
        variables: &[],
        set: |to, text| archive_labels(text).map(|value| to.workers.archive_labels = value),
        show: |of| of.workers.archive_labels.iter().collect::<Vec<_>>().join(","),
    },
    Key {
        name: "exporter.scrape_timeout",
        form: "SPAN",
        help: "Longest time that a scrape may take; Prometheus's own time-out counts if it is shorter.",
        flag: None,
        variables: &[],
        set: |to, text| span(text).map(|value| to.exporter.scrape_timeout = value),
        show: |of| shown(of.exporter.scrape_timeout),
    },
    Key {
        name: "exporter.serve_stale",
        form: "SPAN",
        help: "How old the last view may be that is shown where there can be no new one; 0s: none, the answer is \
               503. For a single exporter only: of several, each would show another.",
        flag: None,
        variables: &[],
        set: |to, text| span_or_zero(text).map(|value| to.exporter.serve_stale = value),
        show: |of| shown(of.exporter.serve_stale),
    },
    Key {
        name: "exporter.own_metrics",
        form: "true | false",
        help: "`/metrics` shows this process's own metrics too, and not only `/-/metrics`. Of several exporters, \
               each has its own.",
        flag: None,
        variables: &[],
        set: |to, text| truth(text).map(|value| to.exporter.own_metrics = value),
        show: |of| of.exporter.own_metrics.to_string(),
    },
    Key {
        name: "exporter.sidecar_metrics",
        form: "true | false",
        help: "`/metrics` shows the four metrics that gunicorn-prometheus-exporter's sidecar has of itself. \
               `SIDECAR_MODE` sets it.",
        flag: None,
        variables: &[],
        set: |to, text| truth(text).map(|value| to.exporter.sidecar_metrics = value),
        show: |of| of.exporter.sidecar_metrics.to_string(),
    },
    Key {
        name: "exporter.group_by",
        form: "NAMES",
        help: "Labels of workers that `/metrics` keeps where a scrape does not say `?group_by=`; of \
               `workers.archive_labels`.",
        flag: None,
        variables: &[],
        set: |to, text| label_names(text).map(|value| to.exporter.group_by = value),
        show: |of| of.exporter.group_by.iter().collect::<Vec<_>>().join(","),
    },
    Key {
        name: "log.level",
        form: "FILTER",
        help: "What is logged: a level, or levels by module as in `info,metrifold_agent=debug`.",
        flag: None,
        variables: &[],
        set: |to, text| {
            to.log.level = text.to_owned();
            to.log.check().map(drop).map_err(|error| error.to_string())
        },
        show: |of| of.log.level.clone(),
    },
    Key {
        name: "log.format",
        form: "text | json",
        help: "How lines are written.",
        flag: None,
        variables: &[],
        set: |to, text| text.parse().map(|value| to.log.format = value),
        show: |of| of.log.format.to_string(),
    },
    Key {
        name: "log.file",
        form: "PATH",
        help: "Append the log to this file instead of stderr.",
        flag: Some("log-file"),
        variables: &[],
        set: |to, text| path(text).map(|value| to.log.file = Some(value)),
        show: |of| optional(of.log.file.as_ref().map(|path| path.display())),
    },
];

fn liveness(text: &str) -> Result<PidLiveness, String> {
    match text {
        "pid" => Ok(PidLiveness::Pid),
        // YAML takes a bare off for false.
        "off" | "false" => Ok(PidLiveness::Off),
        _ => Err(format!("{text:?} is not known; use pid or off")),
    }
}

fn instance(text: &str) -> Result<String, String> {
    match text.len() {
        1..=limits::IDENTITY_BYTES_MAX => Ok(text.to_owned()),
        _ => Err(format!("must have 1 to {} bytes", limits::IDENTITY_BYTES_MAX)),
    }
}

/// Names separated by commas.
fn label_names(text: &str) -> Result<LabelNames, String> {
    let is_name = |name: &str| {
        let mut letters = name.chars();
        letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
            && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    };
    let names: Vec<_> = text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    match names.iter().find(|name| !is_name(name)) {
        Some(name) => Err(format!("{name:?} is no label name: letters, digits and _, separated by commas")),
        None => Ok(names.into_iter().collect()),
    }
}

/// Names of workers' labels that can stand beside those of any series.
fn archive_labels(text: &str) -> Result<LabelNames, String> {
    let names = label_names(text)?;
    let is_taken = |name: &&str| matches!(*name, "pid" | "le" | "quantile") || name.starts_with("__");
    if let Some(name) = names.iter().find(is_taken) {
        return Err(format!(
            "{name:?} cannot be kept; pid, le, quantile and names that begin with __ have meanings of their own"
        ));
    }
    match names.len() {
        0..=ARCHIVE_LABELS_MAX => Ok(names),
        count => Err(format!("{count} labels are too many; at most {ARCHIVE_LABELS_MAX} can be kept")),
    }
}

fn optional(value: Option<impl Display>) -> String {
    value.map_or_else(|| "none".into(), |value| value.to_string())
}

fn shown(span: Duration) -> String {
    humantime::format_duration(span).to_string()
}

/// A server has its own segments already, so a target elsewhere is wanted.
fn upstream(text: &str) -> Result<Target, String> {
    match text.parse() {
        Ok(Target::Local(_)) => Err("a server holds local: segments itself; name a collector or a Redis".into()),
        Ok(target) => Ok(target),
        Err(TargetError::Invalid { reason, .. }) => Err(reason),
        Err(TargetError::Unknown { .. }) => Err("not a target; use http://HOST:PORT, https://HOST:PORT, unix:/PATH or redis://HOST:PORT (or rediss, redis-sentinel, redis-cluster)".into()),
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let hint = || format!("{text:?} is no address; use HOST:PORT, such as 127.0.0.1:9091");
    text.to_socket_addrs().map_err(|_| hint())?.next().ok_or_else(hint)
}

fn path(text: &str) -> Result<PathBuf, String> {
    match text {
        "" => Err("an empty path is not allowed; leave the setting out instead".into()),
        _ => Ok(PathBuf::from(text)),
    }
}

fn span_or_zero(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|cause| format!("{text:?} is no duration ({cause}); use for example 500ms, 10s or 24h"))
}

fn span(text: &str) -> Result<Duration, String> {
    match span_or_zero(text)? {
        Duration::ZERO => Err("must be longer than zero".into()),
        span => Ok(span),
    }
}

/// As clients take it, so that one environment serves both.
fn push_interval(text: &str) -> Result<Duration, String> {
    let (shortest, longest) = (limits::PUSH_INTERVAL_MIN, limits::PUSH_INTERVAL_MAX);
    match span(text)? {
        span if (shortest..=longest).contains(&span) => Ok(span),
        _ => Err(format!("{text:?} does not lie between {shortest:?} and {longest:?}")),
    }
}

/// The words that gunicorn-prometheus-exporter takes for true, and their opposites.
pub(super) fn truth(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" | "" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

fn shards(text: &str) -> Result<u16, String> {
    match u16::from_str(text) {
        Ok(0) | Err(_) => Err(format!("{text:?} is no number of shards; use 1 to {}", u16::MAX)),
        Ok(shards) => Ok(shards),
    }
}
