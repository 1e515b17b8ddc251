//! A client's settings: builder over environment over defaults.

use std::time::Duration;

#[cfg(feature = "grpc")]
use metrifold_channel::{ChannelError, Token};
#[cfg(feature = "remote")]
use metrifold_model::Worker;
pub use metrifold_model::limits::{PUSH_INTERVAL_MAX, PUSH_INTERVAL_MIN};
use metrifold_model::{Labels, Namespace, NamespaceError, limits};
use metrifold_push::{Target, TargetError};
#[cfg(feature = "redis")]
use metrifold_redis::{RedisAddress, RedisError};

/// Default of `METRIFOLD_PUSH_INTERVAL`.
pub const PUSH_INTERVAL: Duration = Duration::from_secs(1);
/// Default of `METRIFOLD_EXIT_TIMEOUT`.
pub const EXIT_TIMEOUT: Duration = Duration::from_secs(2);
/// What a pusher needs to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where values go. `METRIFOLD_TARGET`, else Redis by `REDIS_ENABLED` and `REDIS_*`, else `local:`.
    pub target: Target,
    /// The application. `METRIFOLD_NAMESPACE`, default `metrifold`.
    pub namespace: Namespace,
    /// Host, pod or container. `METRIFOLD_INSTANCE`, default the host's name.
    pub instance: String,
    /// Constant labels of this worker. `METRIFOLD_LABELS`, as in `zone=a,tier=web`; default none.
    pub labels: Labels,
    /// Time between pushes. `METRIFOLD_PUSH_INTERVAL`, as in `500ms`; default [`PUSH_INTERVAL`].
    pub push_interval: Duration,
    /// What is shown to a collector that asks for credentials. `METRIFOLD_TOKEN`, or the file `METRIFOLD_TOKEN_FILE`, which is
    /// read again when it changes; default none.
    #[cfg(feature = "grpc")]
    pub token: Token,
    /// How long the end of the process may wait for the last push. `METRIFOLD_EXIT_TIMEOUT`; default [`EXIT_TIMEOUT`].
    pub exit_timeout: Duration,
}

/// A setting that cannot be used. Never because a target is down.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// `METRIFOLD_TARGET`.
    #[error("METRIFOLD_TARGET: {0}")]
    Target(#[from] TargetError),
    /// `METRIFOLD_TOKEN` and `METRIFOLD_TOKEN_FILE`.
    #[cfg(feature = "grpc")]
    #[error("METRIFOLD_TOKEN and METRIFOLD_TOKEN_FILE: {0}")]
    Token(ChannelError),
    /// The variables of gunicorn-prometheus-exporter, with `REDIS_ENABLED`.
    #[error("REDIS_ENABLED with REDIS_HOST, REDIS_PORT, REDIS_DB, REDIS_PASSWORD and REDIS_SSL: {reason}")]
    Redis {
        /// What is wrong with them.
        reason: String,
    },
    /// `METRIFOLD_NAMESPACE`.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// `METRIFOLD_INSTANCE`.
    #[error(
        "instance {given:?} is not allowed: it must have 1 to {} bytes (set METRIFOLD_INSTANCE)",
        limits::IDENTITY_BYTES_MAX
    )]
    Instance {
        /// What was given.
        given: String,
    },
    /// `METRIFOLD_LABELS`.
    #[error("METRIFOLD_LABELS: {part:?} is not name=value with a valid label name")]
    Labels {
        /// The part that is wrong.
        part: String,
    },
    /// A span of time.
    #[error("{name}: {given:?} is no span of time such as 500ms or 2s: {reason}")]
    Span {
        /// Which setting.
        name: &'static str,
        /// What was given.
        given: String,
        /// What is wrong.
        reason: String,
    },
}

impl Settings {
    /// Reads the environment of this process.
    pub fn from_environment() -> Result<Settings, SettingsError> {
        Settings::from_variables(|name| std::env::var(name).ok())
    }

    /// As [`Settings::from_environment`], from any lookup. An empty variable counts as unset.
    pub fn from_variables(lookup: impl Fn(&str) -> Option<String>) -> Result<Settings, SettingsError> {
        let variable = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let (target, default_namespace) = match variable("METRIFOLD_TARGET") {
            Some(text) => (text.parse()?, None),
            None if is_true(&variable, "REDIS_ENABLED") => {
                let target = redis_target(&variable).map_err(|reason| SettingsError::Redis { reason })?;
                // Servers with the same variables look there too.
                let prefix = variable("REDIS_KEY_PREFIX").unwrap_or_else(|| GUIDES_NAMESPACE.into());
                (target, Some(prefix))
            }
            None => (Target::Local(None), None),
        };
        let namespace = variable("METRIFOLD_NAMESPACE").or(default_namespace);
        let settings = Settings {
            target,
            namespace: namespace.map(Namespace::new).transpose()?.unwrap_or_default(),
            instance: variable("METRIFOLD_INSTANCE").unwrap_or_else(host_name),
            labels: variable("METRIFOLD_LABELS").map_or(Ok(Labels::default()), |text| labels(&text))?,
            push_interval: span(&variable, "METRIFOLD_PUSH_INTERVAL", PUSH_INTERVAL)?,
            exit_timeout: span(&variable, "METRIFOLD_EXIT_TIMEOUT", EXIT_TIMEOUT)?,
            #[cfg(feature = "grpc")]
            token: Token::new(variable("METRIFOLD_TOKEN"), variable("METRIFOLD_TOKEN_FILE").map(Into::into))
                .map_err(SettingsError::Token)?,
        };
        settings.check()?;
        Ok(settings)
    }

    /// Checks what a builder may have set.
    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        if self.instance.is_empty() || self.instance.len() > limits::IDENTITY_BYTES_MAX {
            return Err(SettingsError::Instance { given: self.instance.clone() });
        }
        if let Some((name, value)) = self.labels.iter().find(|(name, value)| !is_label(name, value)) {
            return Err(SettingsError::Labels { part: format!("{name}={value}") });
        }
        if !(PUSH_INTERVAL_MIN..=PUSH_INTERVAL_MAX).contains(&self.push_interval) {
            return Err(SettingsError::Span {
                name: "METRIFOLD_PUSH_INTERVAL",
                given: format!("{:?}", self.push_interval),
                reason: format!("it must lie between {PUSH_INTERVAL_MIN:?} and {PUSH_INTERVAL_MAX:?}"),
            });
        }
        Ok(())
    }

    /// This process as a source.
    #[cfg(feature = "remote")]
    pub(crate) fn worker(&self) -> Worker {
        Worker {
            instance: self.instance.clone(),
            process: std::process::id().to_string(),
            labels: self.labels.clone(),
        }
    }
}

/// The default of `REDIS_KEY_PREFIX`.
const GUIDES_NAMESPACE: &str = "gunicorn";

fn is_true(variable: &impl Fn(&str) -> Option<String>, name: &str) -> bool {
    let given = variable(name).unwrap_or_default();
    matches!(given.to_ascii_lowercase().as_str(), "true" | "1" | "yes" | "on")
}

/// The target that gunicorn-prometheus-exporter's variables name.
#[cfg(feature = "redis")]
fn redis_target(variable: &impl Fn(&str) -> Option<String>) -> Result<Target, String> {
    let or = |name, default: &str| variable(name).unwrap_or_else(|| default.into());
    let (host, port, database) =
        (or("REDIS_HOST", "127.0.0.1"), or("REDIS_PORT", "6379"), or("REDIS_DB", "0"));
    let password = or("REDIS_PASSWORD", "");
    let address =
        RedisAddress::from_parts(&host, &port, &database, &password, is_true(variable, "REDIS_SSL"));
    address.map(Target::Redis).map_err(|error: RedisError| error.to_string())
}

#[cfg(not(feature = "redis"))]
fn redis_target(_variable: &impl Fn(&str) -> Option<String>) -> Result<Target, String> {
    Err("this program was built without Redis; build metrifold-client with its feature `redis`".into())
}

fn host_name() -> String {
    let name = gethostname::gethostname().to_string_lossy().into_owned();
    if name.is_empty() { "localhost".into() } else { name }
}

fn labels(text: &str) -> Result<Labels, SettingsError> {
    let parts = text.split(',').filter(|part| !part.trim().is_empty());
    let pair = |part: &str| match part.split_once('=') {
        Some((name, value)) if is_label(name.trim(), value.trim()) => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err(SettingsError::Labels { part: part.into() }),
    };
    Ok(Labels::new(parts.map(pair).collect::<Result<Vec<_>, _>>()?))
}

fn is_label(name: &str, value: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|character| character.is_ascii_alphanumeric() || character == '_')
        && name.len() <= limits::NAME_BYTES_MAX
        && value.len() <= limits::LABEL_VALUE_BYTES_MAX
}

fn span(
    variable: &impl Fn(&str) -> Option<String>,
    name: &'static str,
    default: Duration,
) -> Result<Duration, SettingsError> {
    let Some(given) = variable(name) else { return Ok(default) };
    humantime::parse_duration(given.trim()).map_err(|error| SettingsError::Span {
        name,
        given,
        reason: error.to_string(),
    })
}

#[cfg(all(test, feature = "grpc", feature = "redis"))]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let variables: std::collections::HashMap<_, _> = variables.iter().copied().collect();
        Settings::from_variables(|name| variables.get(name).map(ToString::to_string))
    }

    #[test]
    fn defaults_run() {
        let settings = read(&[("METRIFOLD_TARGET", "")]).expect("defaults");
        assert_eq!(settings.target, Target::Local(None));
        assert_eq!(settings.namespace.as_str(), "metrifold");
        assert!(!settings.instance.is_empty());
        assert_eq!((settings.push_interval, settings.exit_timeout), (PUSH_INTERVAL, EXIT_TIMEOUT));
    }

    #[test]
    fn every_variable_is_read() {
        let settings = read(&[
            ("METRIFOLD_TARGET", "http://c:9091"),
            ("METRIFOLD_NAMESPACE", "shop"),
            ("METRIFOLD_INSTANCE", "pod-1"),
            ("METRIFOLD_LABELS", "zone=a, tier=web,"),
            ("METRIFOLD_PUSH_INTERVAL", "250ms"),
            ("METRIFOLD_EXIT_TIMEOUT", "3s"),
        ])
        .expect("valid");
        assert_eq!(settings.target, Target::Http("http://c:9091".into()));
        assert_eq!(settings.namespace.as_str(), "shop");
        assert_eq!(settings.instance, "pod-1");
        assert_eq!(settings.labels, Labels::new([("zone", "a"), ("tier", "web")]));
        assert_eq!(settings.push_interval, Duration::from_millis(250));
        assert_eq!(settings.exit_timeout, Duration::from_secs(3));
    }

    #[test]
    fn the_redis_variables_of_the_gunicorn_exporter_name_a_target_unless_another_is_set() {
        let redis =
            [("REDIS_ENABLED", "true"), ("REDIS_HOST", "r"), ("REDIS_PORT", "7000"), ("REDIS_DB", "2")];
        let secret = [("REDIS_PASSWORD", "p@ss")];
        let settings = read(&[&redis[..], &secret[..]].concat()).expect("valid");
        assert_eq!(settings.target, Target::Redis("redis://:p%40ss@r:7000/2".parse().expect("an address")));
        assert_eq!(settings.namespace.as_str(), "gunicorn");
        let more = [("REDIS_SSL", "true"), ("REDIS_KEY_PREFIX", "shop")];
        let settings = read(&[&redis[..], &more[..]].concat()).expect("valid");
        assert_eq!(settings.target, Target::Redis("rediss://r:7000/2".parse().expect("an address")));
        assert_eq!(settings.namespace.as_str(), "shop");
        let other = [("METRIFOLD_TARGET", "local:/x")];
        let settings = read(&[&redis[..], &other[..]].concat()).expect("valid");
        assert_eq!(settings.target, Target::Local(Some("/x".into())));
        assert_eq!(read(&[("REDIS_ENABLED", "false")]).expect("valid").target, Target::Local(None));
    }

    #[test]
    fn a_bad_setting_is_refused_by_name() {
        let long = "x".repeat(limits::IDENTITY_BYTES_MAX + 1);
        let table = [
            ("METRIFOLD_TARGET", "what", "none of local:DIR"),
            ("METRIFOLD_NAMESPACE", "a/b", "namespace \"a/b\""),
            ("METRIFOLD_INSTANCE", long.as_str(), "METRIFOLD_INSTANCE"),
            ("METRIFOLD_LABELS", "zone", "\"zone\""),
            ("METRIFOLD_LABELS", "1x=y", "\"1x=y\""),
            ("METRIFOLD_PUSH_INTERVAL", "soon", "METRIFOLD_PUSH_INTERVAL: \"soon\""),
            ("METRIFOLD_PUSH_INTERVAL", "0s", "between 10ms and 300s"),
            ("METRIFOLD_EXIT_TIMEOUT", "-1", "METRIFOLD_EXIT_TIMEOUT"),
        ];
        for (name, value, part) in table {
            let error = read(&[(name, value)]).expect_err(name).to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
