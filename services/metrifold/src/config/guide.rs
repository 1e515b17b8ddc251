//! The YAML file of gunicorn-prometheus-exporter, whose settings stand below `exporter:`, as the variables of its guide.

use config::Value;

/// Path below `exporter` to variable.
const VARIABLES: [(&str, &str); 20] = [
    ("prometheus.metrics_port", "PROMETHEUS_METRICS_PORT"),
    ("prometheus.bind_address", "PROMETHEUS_BIND_ADDRESS"),
    ("prometheus.multiproc_dir", "PROMETHEUS_MULTIPROC_DIR"),
    ("ssl.certfile", "PROMETHEUS_SSL_CERTFILE"),
    ("ssl.keyfile", "PROMETHEUS_SSL_KEYFILE"),
    ("ssl.client_cafile", "PROMETHEUS_SSL_CLIENT_CAFILE"),
    ("ssl.client_capath", "PROMETHEUS_SSL_CLIENT_CAPATH"),
    ("ssl.client_auth_required", "PROMETHEUS_SSL_CLIENT_AUTH_REQUIRED"),
    ("gunicorn.workers", "GUNICORN_WORKERS"),
    ("gunicorn.timeout", "GUNICORN_TIMEOUT"),
    ("gunicorn.keepalive", "GUNICORN_KEEPALIVE"),
    ("redis.enabled", "REDIS_ENABLED"),
    ("redis.host", "REDIS_HOST"),
    ("redis.port", "REDIS_PORT"),
    ("redis.db", "REDIS_DB"),
    ("redis.password", "REDIS_PASSWORD"),
    ("redis.key_prefix", "REDIS_KEY_PREFIX"),
    ("redis.ttl_seconds", "REDIS_TTL_SECONDS"),
    ("redis.ttl_disabled", "REDIS_TTL_DISABLED"),
    ("cleanup.db_files", "CLEANUP_DB_FILES"),
];

/// Whether TLS counts at all.
const SSL_SWITCH: &str = "ssl.enabled";

/// A setting's path in the guide's file, if it is one of those: `exporter.redis.host` is `redis.host`. Its README has
/// `ssl` beside `prometheus`, its guide within.
fn path(key: &str) -> Option<&str> {
    let path = key.strip_prefix("exporter.")?;
    let path = path.strip_prefix("prometheus.").filter(|rest| rest.starts_with("ssl.")).unwrap_or(path);
    let is_guides = path == SSL_SWITCH || VARIABLES.iter().any(|(known, _)| *known == path);
    is_guides.then_some(path)
}

/// Takes the guide's settings out of a file's settings, as variables. What it says of TLS counts only where it is enabled.
pub(super) fn take(settings: &mut Vec<(String, Value)>) -> Vec<(String, String)> {
    let mut is_ssl = false;
    let mut variables = Vec::new();
    settings.retain(|(key, value)| {
        let Some(path) = path(key) else { return true };
        // A list is no value of the guide: it stays, and is refused by its name.
        let Ok(text) = value.clone().into_string() else { return true };
        match VARIABLES.iter().find(|(known, _)| *known == path) {
            Some((_, variable)) => variables.push(((*variable).to_owned(), text)),
            None => is_ssl = text == "true",
        }
        false
    });
    variables.retain(|(variable, _)| is_ssl || !variable.starts_with("PROMETHEUS_SSL_"));
    variables
}
