//! The list of all settings: name, how it is read, how it is shown.

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
pub(super) struct Key {
    /// Dotted name.
    pub(super) name: &'static str,
    /// Reads a value into the settings; the error says what to write instead.
    pub(super) set: fn(&mut Settings, &str) -> Result<(), String>,
    /// The effective value, without secrets.
    pub(super) show: fn(&Settings) -> String,
}

/// Every setting, in the order of `check-config`.
pub(super) const ALL: &[Key] = &[
    Key {
        name: "http.listen",
        set: |to, text| address(text).map(|value| to.http.listen = value),
        show: |of| of.http.listen.to_string(),
    },
    Key {
        name: "http.unix_socket",
        set: |to, text| path(text).map(|value| to.http.unix_socket = Some(value)),
        show: |of| optional(of.http.unix_socket.as_ref().map(|path| path.display())),
    },
    Key {
        name: "web.config_file",
        set: |to, text| path(text).map(|value| to.web.config_file = Some(value)),
        show: |of| optional(of.web.config_file.as_ref().map(|path| path.display())),
    },
    Key {
        name: "web.cert_file",
        set: |to, text| path(text).map(|value| to.web.cert_file = Some(value)),
        show: |of| optional(of.web.cert_file.as_ref().map(|path| path.display())),
    },
    Key {
        name: "web.key_file",
        set: |to, text| path(text).map(|value| to.web.key_file = Some(value)),
        show: |of| optional(of.web.key_file.as_ref().map(|path| path.display())),
    },
    Key {
        name: "web.client_ca_file",
        set: |to, text| path(text).map(|value| to.web.client_ca_file = Some(value)),
        show: |of| optional(of.web.client_ca_file.as_ref().map(|path| path.display())),
    },
    Key {
        name: "web.client_ca_path",
        set: |to, text| path(text).map(|value| to.web.client_ca_path = Some(value)),
        show: |of| optional(of.web.client_ca_path.as_ref().map(|path| path.display())),
    },
    Key {
        name: "web.client_auth_required",
        set: |to, text| truth(text).map(|value| to.web.client_auth_required = value),
        show: |of| of.web.client_auth_required.to_string(),
    },
    Key {
        name: "store.data_dir",
        set: |to, text| path(text).map(|value| to.store.data_dir = Some(value)),
        show: |of| optional(of.data_dir().as_ref().map(|path| path.display())),
    },
    Key {
        name: "store.settle",
        set: |to, text| span(text).map(|value| to.store.settle = Some(value)),
        show: |of| shown(of.settle()),
    },
    Key {
        name: "store.restore_grace",
        set: |to, text| span_or_zero(text).map(|value| to.store.restore_grace = value),
        show: |of| shown(of.store.restore_grace),
    },
    Key {
        name: "redis.url",
        set: |to, text| {
            text.parse()
                .map(|value| to.redis.url = Some(value))
                .map_err(|error: RedisError| error.to_string())
        },
        show: |of| optional(of.redis.url.as_ref()),
    },
    Key {
        name: "redis.namespace",
        set: |to, text| {
            Namespace::new(text).map(|value| to.redis.namespace = value).map_err(|error| error.to_string())
        },
        show: |of| of.redis.namespace.to_string(),
    },
    Key {
        name: "redis.shards",
        set: |to, text| shards(text).map(|value| to.redis.shards = value),
        show: |of| of.redis.shards.to_string(),
    },
    Key {
        name: "upstream.target",
        set: |to, text| upstream(text).map(|value| to.upstream.target = Some(value)),
        show: |of| optional(of.upstream.target.as_ref()),
    },
    Key {
        name: "upstream.token",
        set: |to, text| {
            to.upstream.token = Some(Secret::new(text));
            Ok(())
        },
        show: |of| optional(of.upstream.token.as_ref()),
    },
    Key {
        name: "upstream.token_file",
        set: |to, text| path(text).map(|value| to.upstream.token_file = Some(value)),
        show: |of| optional(of.upstream.token_file.as_ref().map(|path| path.display())),
    },
    Key {
        name: "agent.segment_dir",
        set: |to, text| path(text).map(|value| to.agent.segment_dir = value),
        show: |of| of.agent.segment_dir.display().to_string(),
    },
    Key {
        name: "agent.linger",
        set: |to, text| span_or_zero(text).map(|value| to.agent.linger = value),
        show: |of| shown(of.agent.linger),
    },
    Key {
        name: "agent.exit_when_idle",
        set: |to, text| truth(text).map(|value| to.agent.exit_when_idle = value),
        show: |of| of.agent.exit_when_idle.to_string(),
    },
    Key {
        name: "agent.push_interval",
        set: |to, text| span(text).map(|value| to.agent.push_interval = value),
        show: |of| shown(of.agent.push_interval),
    },
    Key {
        name: "agent.multiproc_dir",
        set: |to, text| {
            // Empty on purpose: a flag that overrides a variable which is meant for others.
            to.agent.multiproc_dir = Some(text).filter(|text| !text.is_empty()).map(PathBuf::from);
            Ok(())
        },
        show: |of| optional(of.agent.multiproc_dir.as_ref().map(|path| path.display())),
    },
    Key {
        name: "agent.liveness",
        set: |to, text| liveness(text).map(|value| to.agent.liveness = value),
        show: |of| match of.agent.liveness {
            PidLiveness::Pid => "pid".into(),
            PidLiveness::Off => "off".into(),
        },
    },
    Key {
        name: "agent.cleanup",
        set: |to, text| truth(text).map(|value| to.agent.cleanup = value),
        show: |of| of.agent.cleanup.to_string(),
    },
    Key {
        name: "agent.instance",
        set: |to, text| instance(text).map(|value| to.agent.instance = Some(value)),
        show: |of| of.instance(),
    },
    Key {
        name: "workers.ttl",
        set: |to, text| span(text).map(|value| to.workers.ttl = value),
        show: |of| shown(of.workers.ttl),
    },
    Key {
        name: "workers.ttl_disabled",
        set: |to, text| truth(text).map(|value| to.workers.ttl_disabled = value),
        show: |of| of.workers.ttl_disabled.to_string(),
    },
    Key {
        name: "workers.gauge_retention",
        set: |to, text| span_or_zero(text).map(|value| to.workers.gauge_retention = Some(value)),
        show: |of| shown(of.gauge_retention()),
    },
    Key {
        name: "workers.tombstone_lifetime",
        set: |to, text| span(text).map(|value| to.workers.tombstone_lifetime = value),
        show: |of| shown(of.workers.tombstone_lifetime),
    },
    Key {
        name: "workers.host_label",
        set: |to, text| truth(text).map(|value| to.workers.host_label = value),
        show: |of| of.workers.host_label.to_string(),
    },
    Key {
        name: "workers.per_worker_labels",
        set: |to, text| label_names(text).map(|value| to.workers.per_worker_labels = value),
        show: |of| of.workers.per_worker_labels.iter().collect::<Vec<_>>().join(","),
    },
    Key {
        name: "workers.archive_labels",
        set: |to, text| archive_labels(text).map(|value| to.workers.archive_labels = value),
        show: |of| of.workers.archive_labels.iter().collect::<Vec<_>>().join(","),
    },
    Key {
        name: "exporter.scrape_timeout",
        set: |to, text| span(text).map(|value| to.exporter.scrape_timeout = value),
        show: |of| shown(of.exporter.scrape_timeout),
    },
    Key {
        name: "exporter.serve_stale",
        set: |to, text| span_or_zero(text).map(|value| to.exporter.serve_stale = value),
        show: |of| shown(of.exporter.serve_stale),
    },
    Key {
        name: "exporter.own_metrics",
        set: |to, text| truth(text).map(|value| to.exporter.own_metrics = value),
        show: |of| of.exporter.own_metrics.to_string(),
    },
    Key {
        name: "exporter.sidecar_metrics",
        set: |to, text| truth(text).map(|value| to.exporter.sidecar_metrics = value),
        show: |of| of.exporter.sidecar_metrics.to_string(),
    },
    Key {
        name: "exporter.group_by",
        set: |to, text| label_names(text).map(|value| to.exporter.group_by = value),
        show: |of| of.exporter.group_by.iter().collect::<Vec<_>>().join(","),
    },
    Key {
        name: "log.level",
        set: |to, text| {
            to.log.level = text.to_owned();
            to.log.check().map(drop).map_err(|error| error.to_string())
        },
        show: |of| of.log.level.clone(),
    },
    Key {
        name: "log.format",
        set: |to, text| text.parse().map(|value| to.log.format = value),
        show: |of| of.log.format.to_string(),
    },
    Key {
        name: "log.file",
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
