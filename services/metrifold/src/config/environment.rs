//! What the environment says, under our names and under those of gunicorn-prometheus-exporter.

use std::collections::BTreeMap;

use metrifold_redis::RedisAddress;

use super::{ConfigProblem, Layer, keys, load::nearest};

/// Read by workers; servers know these names so that one environment can serve both.
const CLIENT_VARIABLES: [&str; 8] = [
    "METRIFOLD_TARGET",
    "METRIFOLD_NAMESPACE",
    "METRIFOLD_INSTANCE",
    "METRIFOLD_PUSH_INTERVAL",
    "METRIFOLD_EXIT_TIMEOUT",
    "METRIFOLD_LABELS",
    "METRIFOLD_TOKEN",
    "METRIFOLD_TOKEN_FILE",
];

/// Read by what starts servers: the Python package and the test harness.
const STARTER_VARIABLES: [&str; 2] = ["METRIFOLD_BINARY", "METRIFOLD_VENV"];

/// The guide's TLS, and our names for it.
const SSL_VARIABLES: [(&str, &str); 5] = [
    ("PROMETHEUS_SSL_CERTFILE", "web.cert_file"),
    ("PROMETHEUS_SSL_KEYFILE", "web.key_file"),
    ("PROMETHEUS_SSL_CLIENT_CAFILE", "web.client_ca_file"),
    ("PROMETHEUS_SSL_CLIENT_CAPATH", "web.client_ca_path"),
    ("PROMETHEUS_SSL_CLIENT_AUTH_REQUIRED", "web.client_auth_required"),
];

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
    environment.read_ssl(&given);
    environment.read_redis(&given);
    environment.read_sidecar(&given);
    environment.read_files(&given);
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
            let (database, password) = (part("REDIS_DB", "0"), part("REDIS_PASSWORD", ""));
            let is_tls = match keys::truth(part("REDIS_SSL", "false")) {
                Ok(is_tls) => is_tls,
                Err(message) => return self.refuse("redis.url", "REDIS_SSL", message),
            };
            match RedisAddress::from_parts(host, port, database, password, is_tls) {
                Ok(url) => self.set("redis.url", url.reveal(), "REDIS_ENABLED and REDIS_*"),
                Err(error) => self.refuse("redis.url", "REDIS_*", error.to_string()),
            }
        }
        match given.get("REDIS_KEY_PREFIX") {
            Some(prefix) => self.set("redis.namespace", *prefix, "REDIS_KEY_PREFIX"),
            // Where workers with the same variables push.
            None if is_enabled => self.set("redis.namespace", "gunicorn", "REDIS_ENABLED"),
            None => {}
        }
        if let Some(seconds) = given.get("REDIS_TTL_SECONDS") {
            self.set("workers.ttl", format!("{seconds}s"), "REDIS_TTL_SECONDS");
        }
        if let Some(text) = given.get("REDIS_TTL_DISABLED") {
            self.set("workers.ttl_disabled", *text, "REDIS_TTL_DISABLED");
        }
    }

    fn read_ssl(&mut self, given: &BTreeMap<&str, &str>) {
        for (name, value) in given.range("PROMETHEUS_SSL_".."PROMETHEUS_SSL`") {
            match SSL_VARIABLES.iter().find(|(known, _)| known == name) {
                Some((_, key)) => self.set(*key, *value, *name),
                None => self.problems.push(ConfigProblem::Unknown {
                    key: (*name).to_owned(),
                    origin: "the environment".into(),
                    suggestion: nearest(name, SSL_VARIABLES.iter().map(|(known, _)| *known)),
                }),
            }
        }
    }

    fn read_sidecar(&mut self, given: &BTreeMap<&str, &str>) {
        let is_true = |name: &str| given.get(name).is_some_and(|text| keys::truth(text) == Ok(true));
        if !is_true("SIDECAR_MODE") {
            return;
        }
        self.set("exporter.sidecar_metrics", "true", "SIDECAR_MODE");
        if !is_true("REDIS_ENABLED") && !given.contains_key("PROMETHEUS_MULTIPROC_DIR") {
            let message = "a sidecar shows what other processes counted; say where that is with \
                           PROMETHEUS_MULTIPROC_DIR or REDIS_ENABLED=true, or unset SIDECAR_MODE";
            self.refuse("agent.multiproc_dir", "SIDECAR_MODE", message.into());
        }
    }

    fn read_files(&mut self, given: &BTreeMap<&str, &str>) {
        // prometheus_client still knows the name in small letters.
        for name in ["prometheus_multiproc_dir", "PROMETHEUS_MULTIPROC_DIR"] {
            if let Some(directory) = given.get(name) {
                self.set("agent.multiproc_dir", *directory, name);
            }
        }
        if let Some(text) = given.get("CLEANUP_DB_FILES") {
            self.set("agent.cleanup", *text, "CLEANUP_DB_FILES");
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
        for (name, key) in
            [("METRIFOLD_TOKEN", "upstream.token"), ("METRIFOLD_TOKEN_FILE", "upstream.token_file")]
        {
            if let Some(value) = given.get(name) {
                self.set(key, *value, name);
            }
        }
        if let Some(instance) = given.get("METRIFOLD_INSTANCE") {
            self.set("agent.instance", *instance, "METRIFOLD_INSTANCE");
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
