//! From settings to a running pusher.

use std::{sync::Arc, time::Duration};

#[cfg(feature = "grpc")]
use metrifold_channel::Token;
use metrifold_model::{GaugeMode, Labels};
#[cfg(feature = "grpc")]
use metrifold_push::GrpcTransport;
#[cfg(feature = "redis")]
use metrifold_push::RedisTransport;
#[cfg(feature = "remote")]
use metrifold_push::Transport;
use metrifold_segment::{Recorder, RecorderSettings};
use prometheus::Registry;

use crate::{
    Pusher, Settings, SettingsError, Target,
    gather::{self, Origin},
    local::LocalCopy,
    shared::Shared,
    snapshot::{GaugeModes, Snapshot},
    thread,
};
#[cfg(feature = "remote")]
use crate::{drive::Driver, thread::Descriptors};

/// Settings of a [`Pusher`]. What is not set is read from the environment, see [`Settings`].
#[derive(Debug, Default)]
#[must_use]
pub struct PusherBuilder {
    registry: Option<Registry>,
    recorder: Option<Recorder>,
    modes: GaugeModes,
    from_now: bool,
    target: Option<String>,
    namespace: Option<String>,
    instance: Option<String>,
    labels: Option<Labels>,
    push_interval: Option<Duration>,
    exit_timeout: Option<Duration>,
    #[cfg(feature = "grpc")]
    token: Option<Token>,
    #[cfg(feature = "remote")]
    descriptors: Descriptors,
}

impl Pusher {
    /// A pusher of the default registry, with the settings of the environment.
    pub fn builder() -> PusherBuilder {
        PusherBuilder::default()
    }
}

impl PusherBuilder {
    /// The registry to push. Default: the crate's [`prometheus::default_registry`].
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = Some(registry);
        self
    }

    /// Pushes the slots of a recorder instead of a registry.
    pub fn recorder(mut self, recorder: Recorder) -> Self {
        self.recorder = Some(recorder);
        self
    }

    /// How the gauge `name` merges over workers.
    pub fn gauge_mode(mut self, name: impl Into<String>, mode: GaugeMode) -> Self {
        self.modes.set(name, mode);
        self
    }

    /// How gauges without a mode of their own merge. Default: [`GaugeMode::All`], one series per worker.
    pub fn default_gauge_mode(mut self, mode: GaugeMode) -> Self {
        self.modes.set_default(mode);
        self
    }

    /// Pushes only what the registry counts from now on: for a forked child, whose registry still shows what the parent
    /// counted and pushes itself.
    pub fn from_now(mut self) -> Self {
        self.from_now = true;
        self
    }

    /// As `METRIFOLD_TARGET`.
    pub fn target(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into());
        self
    }

    /// As `METRIFOLD_NAMESPACE`.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// As `METRIFOLD_INSTANCE`.
    pub fn instance(mut self, instance: impl Into<String>) -> Self {
        self.instance = Some(instance.into());
        self
    }

    /// As `METRIFOLD_LABELS`.
    pub fn labels(
        mut self,
        labels: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
    ) -> Self {
        self.labels = Some(Labels::new(labels));
        self
    }

    /// As `METRIFOLD_PUSH_INTERVAL`.
    pub fn push_interval(mut self, interval: Duration) -> Self {
        self.push_interval = Some(interval);
        self
    }

    /// As `METRIFOLD_EXIT_TIMEOUT`.
    pub fn exit_timeout(mut self, timeout: Duration) -> Self {
        self.exit_timeout = Some(timeout);
        self
    }

    /// Gives the thread that pushes a table of descriptors of its own, where the system can: whoever closes all descriptors of
    /// the process, as daemonisers do, does not close these, and no fork inherits them.
    ///
    /// Only for a library that carries a tokio of its own: where others in the process use the same one, it may share a
    /// descriptor between runtimes (its feature `signal` does).
    #[cfg(feature = "remote")]
    pub fn own_descriptors(mut self) -> Self {
        self.descriptors = Descriptors::Own;
        self
    }

    /// As `METRIFOLD_TOKEN` and `METRIFOLD_TOKEN_FILE`.
    #[cfg(feature = "grpc")]
    pub fn token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// The settings as they would be used.
    pub fn settings(&self) -> Result<Settings, SettingsError> {
        let overridden = |name: &str| match name {
            "METRIFOLD_TARGET" => self.target.clone(),
            "METRIFOLD_NAMESPACE" => self.namespace.clone(),
            "METRIFOLD_INSTANCE" => self.instance.clone(),
            _ => None,
        };
        // What the builder sets hides a mistake in the environment.
        let hidden = |name: &str| match name {
            "METRIFOLD_LABELS" => self.labels.is_some(),
            "METRIFOLD_PUSH_INTERVAL" => self.push_interval.is_some(),
            "METRIFOLD_EXIT_TIMEOUT" => self.exit_timeout.is_some(),
            #[cfg(feature = "grpc")]
            "METRIFOLD_TOKEN" | "METRIFOLD_TOKEN_FILE" => self.token.is_some(),
            _ => false,
        };
        let lookup =
            |name: &str| overridden(name).or_else(|| std::env::var(name).ok().filter(|_| !hidden(name)));
        let mut settings = Settings::from_variables(lookup)?;
        settings.labels = self.labels.clone().unwrap_or(settings.labels);
        settings.push_interval = self.push_interval.unwrap_or(settings.push_interval);
        settings.exit_timeout = self.exit_timeout.unwrap_or(settings.exit_timeout);
        #[cfg(feature = "grpc")]
        {
            settings.token = self.token.clone().unwrap_or(settings.token);
        }
        settings.check()?;
        Ok(settings)
    }

    /// Starts pushing. Fails only for settings that can never work; a target that is down is tried until it is up.
    pub fn start(self) -> Result<Pusher, SettingsError> {
        let settings = self.settings()?;
        let pusher = Pusher::of(&settings);
        let shared = &pusher.shared;
        #[cfg(feature = "remote")]
        let descriptors = self.descriptors;
        let origin = self.origin();
        match settings.target.clone() {
            Target::Local(directory) => start_local(origin, directory, settings, shared),
            #[cfg(feature = "redis")]
            Target::Redis(address) => {
                let transport = RedisTransport::new(&address)?;
                start_remote(origin, transport, settings, descriptors, shared);
            }
            #[cfg(feature = "grpc")]
            target => {
                let transport = GrpcTransport::new(&target, settings.token.clone())?;
                start_remote(origin, transport, settings, descriptors, shared);
            }
        }
        Ok(pusher)
    }

    fn origin(self) -> Origin {
        if let Some(recorder) = self.recorder {
            return Origin::Recorder(recorder);
        }
        let registry = self.registry.unwrap_or_else(|| prometheus::default_registry().clone());
        let mut snapshot = Box::new(Snapshot::new(self.modes));
        if self.from_now {
            // A collector that panics now will be named by the first ordinary gather.
            let families = gather::gather(&registry).unwrap_or_default();
            snapshot.begin_after(&families);
        }
        Origin::Registry { registry, snapshot }
    }
}

fn start_local(
    origin: Origin,
    directory: Option<std::path::PathBuf>,
    settings: Settings,
    shared: &Arc<Shared>,
) {
    let Settings { namespace, instance, labels, push_interval, .. } = settings;
    let recorder = match &origin {
        Origin::Recorder(recorder) => recorder.clone(),
        Origin::Registry { .. } => {
            Recorder::open(RecorderSettings { directory, namespace, instance, labels })
        }
    };
    let copy = LocalCopy::new(origin, recorder, push_interval, Arc::clone(shared));
    thread::spawn(Arc::clone(shared), move || copy.run());
}

#[cfg(feature = "remote")]
pub(crate) fn start_remote(
    origin: Origin,
    transport: impl Transport,
    settings: Settings,
    descriptors: Descriptors,
    shared: &Arc<Shared>,
) {
    let (for_thread, for_driver) = (Arc::clone(shared), Arc::clone(shared));
    thread::spawn(Arc::clone(shared), move || {
        let driver = Driver::new(origin, &settings, transport, for_driver);
        thread::block_on(&for_thread, descriptors, driver.run());
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builder_wins_over_the_environment_and_is_checked_alike() {
        let settings = Pusher::builder()
            .target("unix:/run/m.sock")
            .namespace("shop")
            .labels([("zone", "a")])
            .push_interval(Duration::from_millis(50))
            .settings()
            .expect("valid");
        assert_eq!(settings.target, Target::Unix("/run/m.sock".into()));
        assert_eq!(settings.namespace.as_str(), "shop");
        assert_eq!(settings.labels, Labels::new([("zone", "a")]));
        assert_eq!(settings.push_interval, Duration::from_millis(50));

        for wrong in [
            Pusher::builder().target("http://"),
            Pusher::builder().namespace("a{b"),
            Pusher::builder().labels([("1", "x")]),
            Pusher::builder().push_interval(Duration::ZERO),
            Pusher::builder().instance("x".repeat(1000)),
        ] {
            let text = format!("{wrong:?}");
            wrong.registry(Registry::new()).start().expect_err(&text);
        }
    }
}
