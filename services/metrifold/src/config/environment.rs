//! What the environment says, under our names and under those of gunicorn-prometheus-exporter.

use std::collections::BTreeMap;

use metrifold_push::{Target, TargetError};
use metrifold_redis::RedisAddress;

use super::{ConfigProblem, Layer, keys, suggest::nearest};

/// Read by workers alone; servers know these names so that one environment can serve both.
const CLIENT_VARIABLES: [&str; 3] = ["METRIFOLD_TARGET", "METRIFOLD_EXIT_TIMEOUT", "METRIFOLD_LABELS"];

/// Read by what starts servers: the Python package and the test harness.
const STARTER_VARIABLES: [&str; 2] = ["METRIFOLD_BINARY", "METRIFOLD_VENV"];

const PREFIX: &str = "METRIFOLD_";

/// The environment as settings.
#[derive(Debug, Default)]
pub(super) struct Environment {
    pub(super) layer: Layer,
    pub(super) problems: Vec<ConfigProblem>,
    pub(super) notices: Vec<String>,
    /// Variables that Kubernetes sets for a Service whose name begins with ours.
    pub(super) service_links: Vec<String>,
}

/// Reads all variables. Those of the guide come first, so that our own names win over them.
pub(super) fn read(variables: &[(String, String)]) -> Environment {
    let pairs = variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    // An empty variable is one that is not set, as in a compose file's `${NAME:-}`.
    let given: BTreeMap<&str, &str> = pairs.filter(|(_, value)| !value.is_empty()).collect();
    let mut environment = Environment::default();
    environment.read_listen(&given);
    environment.read_redis(&given);
    environment.read_sidecar(&given);
    environment.read_target(&given);
    environment.read_named(&given);
    environment.refuse_unknown_ssl(&given);
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
        if is_enabled {
            // Where workers with the same variables push, unless they name another.
            self.set("redis.namespace", "gunicorn", "REDIS_ENABLED");
        }
        if let Some(seconds) = given.get("REDIS_TTL_SECONDS") {
            self.set("workers.ttl", format!("{seconds}s"), "REDIS_TTL_SECONDS");
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

    fn read_target(&mut self, given: &BTreeMap<&str, &str>) {
        let Some(target) = given.get("METRIFOLD_TARGET") else { return };
        match target.parse() {
            Ok(Target::Local(Some(directory))) => {
                self.set("agent.segment_dir", directory.to_string_lossy(), "METRIFOLD_TARGET");
            }
            // Where workers push to does not concern who serves segments.
            Ok(_) => {}
            // But a mistake would leave both in different places.
            Err(error) => {
                self.refuse("agent.segment_dir", "METRIFOLD_TARGET", TargetError::to_string(&error))
            }
        }
    }

    /// Variables that stand for one setting each.
    fn read_named(&mut self, given: &BTreeMap<&str, &str>) {
        for (key, name) in named() {
            if let Some(value) = given.get(name) {
                self.set(key, *value, name);
            }
        }
    }

    fn refuse_unknown_ssl(&mut self, given: &BTreeMap<&str, &str>) {
        for (name, _) in given.range("PROMETHEUS_SSL_".."PROMETHEUS_SSL`") {
            if !named().any(|(_, known)| known == *name) {
                let ssl =
                    named().map(|(_, known)| known).filter(|known| known.starts_with("PROMETHEUS_SSL_"));
                self.problems.push(ConfigProblem::Unknown {
                    key: (*name).to_owned(),
                    origin: "the environment".into(),
                    suggestion: nearest(name, ssl),
                });
            }
        }
    }

    fn read_own(&mut self, given: &BTreeMap<&str, &str>) {
        for (name, value) in given.range(PREFIX..) {
            let Some(rest) = name.strip_prefix(PREFIX) else { break };
            let is_named = named().any(|(_, known)| known == *name);
            if is_named || CLIENT_VARIABLES.contains(name) || STARTER_VARIABLES.contains(name) {
                continue;
            }
            if is_service_link(name) {
                self.service_links.push((*name).to_owned());
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

/// Settings, and the variables that stand for them besides their own.
fn named() -> impl Iterator<Item = (&'static str, &'static str)> {
    keys::ALL.iter().flat_map(|key| key.variables.iter().map(|variable| (key.name, *variable)))
}

/// Whether Kubernetes sets a variable of this name in every container of a namespace that has a Service such as `metrifold`:
/// `METRIFOLD_SERVICE_HOST`, `METRIFOLD_SERVICE_PORT_HTTP`, `METRIFOLD_PORT`, `METRIFOLD_PORT_9091_TCP_ADDR`.
fn is_service_link(name: &str) -> bool {
    let is_port = |text: &str| {
        let mut parts = text.split('_');
        let number = parts.next().is_some_and(|part| part.parse::<u16>().is_ok());
        let protocol = parts.next().is_some_and(|part| ["TCP", "UDP", "SCTP"].contains(&part));
        let field = parts.next().is_none_or(|part| ["PROTO", "PORT", "ADDR"].contains(&part));
        number && protocol && field && parts.next().is_none()
    };
    // Two underscores part a section from its setting.
    let ends_alike = name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || name.ends_with("_PORT")
        || name.match_indices("_PORT_").any(|(at, found)| is_port(&name[at + found.len()..]));
    ends_alike && !name.contains("__")
}

/// The variable of a setting.
pub(super) fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase().replace('.', "__"))
}

fn nearest_variable(name: &str) -> Option<String> {
    let settings = keys::ALL.iter().map(|key| variable_of(key.name));
    let others = named().map(|(_, known)| known).chain(CLIENT_VARIABLES).map(str::to_owned);
    let names: Vec<String> = settings.chain(others.filter(|name| name.starts_with(PREFIX))).collect();
    nearest(name, names.iter().map(String::as_str))
}
