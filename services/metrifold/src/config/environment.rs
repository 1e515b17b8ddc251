//! What the environment says, under our names and under those of gunicorn-prometheus-exporter.

use std::collections::BTreeMap;

use metrifold_dial::RedisAddress;

use super::{ConfigProblem, Layer, keys, load::nearest};

/// Read by workers; servers know these names so that one environment can serve both.
const CLIENT_VARIABLES: [&str; 6] = [
    "METRIFOLD_TARGET",
    "METRIFOLD_NAMESPACE",
    "METRIFOLD_INSTANCE",
    "METRIFOLD_PUSH_INTERVAL",
    "METRIFOLD_EXIT_TIMEOUT",
    "METRIFOLD_LABELS",
];

/// Read by what starts servers: the Python package and the test harness.
const STARTER_VARIABLES: [&str; 2] = ["METRIFOLD_BINARY", "METRIFOLD_VENV"];

const PREFIX: &str = "METRIFOLD_";

/// The environment as settings.
#[derive(Debug, Default)]
pub(super) struct Environment {
    pub(super) layer: Layer,
    pub(super) problems: Vec<ConfigProblem>,
    pub(super) notices: Vec<String>,
}

/// Reads all variables. Those of the guide come first, so that our own names win over them.
pub(super) fn read(variables: &[(String, String)]) -> Environment {
    let pairs = variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    // An empty variable is one that is not set, as in a compose file's `${NAME:-}`.
    let given: BTreeMap<&str, &str> = pairs.filter(|(_, value)| !value.is_empty()).collect();
    let mut environment = Environment::default();
    environment.read_listen(&given);
    environment.read_redis(&given);
    environment.read_unsupported(&given);
    environment.read_client(&given);
    environment.read_own(&given);
    environment
}

impl Environment {
    fn read_listen(&mut self, given: &BTreeMap<&str, &str>) {
        let (host, port) = (given.get("PROMETHEUS_BIND_ADDRESS"), given.get("PROMETHEUS_METRICS_PORT"));
        if host.is_none() && port.is_none() {
            return;
        }
        // The guide's defaults for the half that is not given.
        let (host, port) = (host.copied().unwrap_or("0.0.0.0"), port.copied().unwrap_or("9090"));
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        self.set(
            "http.listen",
            format!("{host}:{port}"),
            "PROMETHEUS_BIND_ADDRESS and PROMETHEUS_METRICS_PORT",
        );
    }

    fn read_redis(&mut self, given: &BTreeMap<&str, &str>) {
        let is_enabled = match given.get("REDIS_ENABLED").map(|text| keys::truth(text)) {
            Some(Ok(is_enabled)) => is_enabled,
            Some(Err(message)) => return self.refuse("redis.url", "REDIS_ENABLED", message),
            None => false,
        };
        if is_enabled {
            let part =
                |name, default| given.get(name).copied().filter(|text| !text.is_empty()).unwrap_or(default);
            let (host, port) = (part("REDIS_HOST", "127.0.0.1"), part("REDIS_PORT", "6379"));
            match RedisAddress::from_parts(host, port, part("REDIS_DB", "0"), part("REDIS_PASSWORD", "")) {
                Ok(url) => self.set("redis.url", url.reveal(), "REDIS_ENABLED and REDIS_*"),
                Err(error) => self.refuse("redis.url", "REDIS_*", error.to_string()),
            }
        }
        if let Some(prefix) = given.get("REDIS_KEY_PREFIX") {
            self.set("redis.namespace", *prefix, "REDIS_KEY_PREFIX");
        }
        if let Some(seconds) = given.get("REDIS_TTL_SECONDS") {
            self.set("workers.ttl", format!("{seconds}s"), "REDIS_TTL_SECONDS");
        }
        if let Some(text) = given.get("REDIS_TTL_DISABLED") {
            self.set("workers.ttl_disabled", *text, "REDIS_TTL_DISABLED");
        }
    }

    fn read_unsupported(&mut self, given: &BTreeMap<&str, &str>) {
        let is_true = |name: &str| given.get(name).is_some_and(|text| keys::truth(text) == Ok(true));
        for (name, value) in given.range("PROMETHEUS_SSL_".."PROMETHEUS_SSL`") {
            if !matches!(keys::truth(value), Ok(false)) {
                self.problems.push(ConfigProblem::NotYet {
                    name: (*name).to_owned(),
                    what: "TLS".into(),
                    instead: "unset it and serve plain HTTP behind a proxy that ends TLS".into(),
                });
            }
        }
        if is_true("SIDECAR_MODE") {
            self.problems.push(ConfigProblem::NotYet {
                name: "SIDECAR_MODE".into(),
                what: "reading the files of another container".into(),
                instead: "unset it and let the workers call metrifold.install()".into(),
            });
        }
        if given.contains_key("PROMETHEUS_MULTIPROC_DIR") {
            self.notices.push(
                "PROMETHEUS_MULTIPROC_DIR is set, but this version does not read prometheus_client's files: only \
                 workers that use metrifold are shown"
                    .into(),
            );
        }
        if is_true("CLEANUP_DB_FILES") {
            self.notices.push("CLEANUP_DB_FILES has nothing to clean up: no files are written".into());
        }
    }

    fn read_client(&mut self, given: &BTreeMap<&str, &str>) {
        if let Some(directory) =
            given.get("METRIFOLD_TARGET").and_then(|target| target.strip_prefix("local:"))
        {
            self.set("agent.segment_dir", directory, "METRIFOLD_TARGET");
        }
        if let Some(namespace) = given.get("METRIFOLD_NAMESPACE") {
            self.set("redis.namespace", *namespace, "METRIFOLD_NAMESPACE");
        }
        if let Some(interval) = given.get("METRIFOLD_PUSH_INTERVAL") {
            self.set("agent.push_interval", *interval, "METRIFOLD_PUSH_INTERVAL");
        }
    }

    fn read_own(&mut self, given: &BTreeMap<&str, &str>) {
        for (name, value) in given.range(PREFIX..) {
            let Some(rest) = name.strip_prefix(PREFIX) else { break };
            if CLIENT_VARIABLES.contains(name) || STARTER_VARIABLES.contains(name) {
                continue;
            }
            match rest.split_once("__") {
                Some((section, key)) => self.set(
                    format!("{}.{}", section.to_lowercase(), key.to_lowercase()),
                    *value,
                    format!("the environment variable {name}"),
                ),
                None => self.problems.push(ConfigProblem::Unknown {
                    key: (*name).to_owned(),
                    origin: "the environment".into(),
                    suggestion: nearest_variable(name),
                }),
            }
        }
    }

    fn set(&mut self, key: impl Into<String>, value: impl Into<String>, origin: impl Into<String>) {
        self.layer.set(key, value, origin);
    }

    fn refuse(&mut self, key: &str, origin: &str, message: String) {
        self.problems.push(ConfigProblem::Value { key: key.into(), origin: origin.into(), message });
    }
}

fn nearest_variable(name: &str) -> Option<String> {
    let settings =
        keys::ALL.iter().map(|key| format!("{PREFIX}{}", key.name.to_uppercase().replace('.', "__")));
    let names: Vec<String> = settings.chain(CLIENT_VARIABLES.map(str::to_owned)).collect();
    nearest(name, names.iter().map(String::as_str))
}
