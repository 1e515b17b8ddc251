//! The recorder of this process, and what else must be kept beside it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use metrifold_client::{FlushError, Pusher, PusherBuilder, Settings, Target};
use metrifold_model::Labels;
use metrifold_segment::{Recorder, RecorderMemory, RecorderSettings, fork_generation};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::sigterm;

/// Set once, by the first [`open`]. A fork's child inherits it.
static RECORDING: OnceLock<Recording> = OnceLock::new();

struct Recording {
    recorder: Recorder,
    given: Given,
    settings: Settings,
    /// Only for a remote target.
    pusher: Mutex<Option<Arc<Pusher>>>,
}

/// What the program asked for; the environment and defaults fill in the rest.
struct Given {
    namespace: Option<String>,
    instance: Option<String>,
    directory: Option<String>,
    labels: Option<BTreeMap<String, String>>,
}

impl Given {
    fn builder(&self) -> PusherBuilder {
        let mut builder = Pusher::builder();
        if let Some(namespace) = &self.namespace {
            builder = builder.namespace(namespace);
        }
        if let Some(instance) = &self.instance {
            builder = builder.instance(instance);
        }
        if let Some(directory) = &self.directory {
            builder = builder.target(format!("local:{directory}"));
        }
        if let Some(labels) = &self.labels {
            builder = builder.labels(labels);
        }
        builder
    }

    /// Names of those that are not what is in force.
    fn differing_from(&self, settings: &Settings) -> Vec<&'static str> {
        let target = |directory: &String| Target::Local(Some(directory.into()));
        [
            ("namespace", self.namespace.as_ref().is_some_and(|name| name != settings.namespace.as_str())),
            ("instance", self.instance.as_ref().is_some_and(|name| *name != settings.instance)),
            ("directory", self.directory.as_ref().is_some_and(|path| target(path) != settings.target)),
            ("labels", self.labels.as_ref().is_some_and(|labels| Labels::new(labels) != settings.labels)),
        ]
        .into_iter()
        .filter_map(|(name, differs)| differs.then_some(name))
        .collect()
    }
}

impl Recording {
    fn start(given: Given) -> PyResult<Recording> {
        let settings = given.builder().settings().map_err(refused)?;
        let recorder_settings = |directory| RecorderSettings {
            directory,
            namespace: settings.namespace.clone(),
            instance: settings.instance.clone(),
            labels: settings.labels.clone(),
        };
        let recorder = match &settings.target {
            Target::Local(directory) => Recorder::open(recorder_settings(directory.clone())),
            _ => Recorder::anonymous(recorder_settings(None)),
        };
        let recording = Recording { recorder, given, settings, pusher: Mutex::new(None) };
        recording.start_pusher().map_err(refused)?;
        Ok(recording)
    }

    /// A thread that pushes, if the target is a remote one. The one that a fork's parent has is left to the parent.
    fn start_pusher(&self) -> Result<(), metrifold_client::SettingsError> {
        if matches!(self.settings.target, Target::Local(_)) {
            return Ok(());
        }
        let pusher = self.given.builder().recorder(self.recorder.clone()).own_descriptors().start()?;
        let former = self.held_pusher().replace(Arc::new(pusher));
        // Its thread is not in this process, so there is nothing that could be ended.
        std::mem::forget(former);
        Ok(())
    }

    fn held_pusher(&self) -> MutexGuard<'_, Option<Arc<Pusher>>> {
        self.pusher.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock is not held for longer than this: a fork would inherit it.
    fn pusher(&self) -> Option<Arc<Pusher>> {
        self.held_pusher().clone()
    }

    /// Makes the last push. A fork's child that has nothing to tell, such as one that only forks again or becomes another
    /// program, does not wait for a target. Whoever ends what is ending already waits for the same push.
    fn end(&self) -> Result<(), FlushError> {
        match self.pusher() {
            Some(pusher) if self.has_something_to_tell(&pusher) => pusher.end(self.settings.exit_timeout),
            Some(pusher) => pusher.end(Duration::ZERO).or(Ok(())),
            None => Ok(()),
        }
    }

    fn flush(&self) -> Result<(), FlushError> {
        match self.pusher() {
            Some(pusher) if self.has_something_to_tell(&pusher) => pusher.flush(self.settings.exit_timeout),
            _ => Ok(()),
        }
    }

    /// Whether the target has values of this process, or would get some that are not 0; always if it is no fork's child.
    fn has_something_to_tell(&self, pusher: &Pusher) -> bool {
        fork_generation() == 0
            || pusher.status().last_ok.is_some()
            || self.recorder.snapshot().1.slots.iter().any(|value| *value != 0.0)
    }
}

fn refused(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// The recorder, once [`open`] was called.
pub(crate) fn recorder() -> Option<&'static Recorder> {
    RECORDING.get().map(|recording| &recording.recorder)
}

/// Opens the recorder of this process, the first time. Returns the names of arguments that differ from what is in force.
#[pyfunction]
#[pyo3(signature = (*, namespace=None, instance=None, directory=None, labels=None))]
pub(crate) fn open(
    namespace: Option<String>,
    instance: Option<String>,
    directory: Option<String>,
    labels: Option<BTreeMap<String, String>>,
) -> PyResult<Vec<&'static str>> {
    let given = Given { namespace, instance, directory, labels };
    if let Some(recording) = RECORDING.get() {
        return Ok(given.differing_from(&recording.settings));
    }
    // The interpreter's lock is held throughout, so nobody else opens meanwhile.
    let recording = Recording::start(given)?;
    RECORDING.get_or_init(|| recording);
    Ok(Vec::new())
}

/// In a fork's child: starts what does not survive a fork. Says why if it could not.
#[pyfunction]
pub(crate) fn follow_fork() -> Option<String> {
    RECORDING.get()?.start_pusher().err().map(|error| error.to_string())
}

/// At the end of the process: makes the last push, for at most `METRIFOLD_EXIT_TIMEOUT`. Says what was not acknowledged.
#[pyfunction]
pub(crate) fn end(py: Python<'_>) -> Option<String> {
    let recording = RECORDING.get()?;
    py.detach(|| recording.end()).err().map(|error| error.to_string())
}

/// Before the process becomes another program: pushes what was counted, for at most as long.
#[pyfunction]
pub(crate) fn flush(py: Python<'_>) -> Option<String> {
    let recording = RECORDING.get()?;
    py.detach(|| recording.flush()).err().map(|error| error.to_string())
}

/// Lets SIGTERM end this process after its last push, if it would end it at once.
#[pyfunction]
pub(crate) fn end_by_sigterm() {
    sigterm::end_after(|| {
        // Nobody is left who could be told.
        let _ = RECORDING.get().map(Recording::end);
    });
}

/// Where the environment sends values: `("local", directory or "")`, or `("remote", address)`; the address may hold a password.
#[pyfunction]
pub(crate) fn target() -> PyResult<(&'static str, String)> {
    let settings = Settings::from_environment().map_err(refused)?;
    Ok(match settings.target {
        Target::Local(directory) => ("local", directory.unwrap_or_default().to_string_lossy().into_owned()),
        Target::Unix(path) => ("remote", format!("unix:{}", path.display())),
        Target::Http(address) => ("remote", address),
        Target::Https(address) => ("remote", address.to_string()),
        Target::Redis(address) => ("remote", address.reveal().to_owned()),
    })
}

/// How recording goes on.
#[pyclass(frozen, get_all, module = "metrifold._native")]
pub(crate) struct Status {
    /// Keeps applications apart.
    namespace: String,
    /// Host, pod or container.
    instance: String,
    /// Where values go, without a password.
    target: String,
    /// The segment's file; `None` if there is none.
    segment: Option<String>,
    /// Why there is no segment, or why pushing failed last.
    problem: Option<String>,
    /// Series' values that were made.
    slots: usize,
    /// Values that no reader sees because of a limit.
    refused_slots: u64,
    /// The first of them: sample and reason.
    refused_slots_named: Vec<(String, String)>,
    /// Increments that were not finite.
    refused_values: u64,
    /// Exemplars that no scrape could show, or for which there was no room.
    refused_exemplars: u64,
}

#[pymethods]
impl Status {
    fn __repr__(&self) -> String {
        let or_none =
            |text: &Option<String>| text.as_ref().map_or_else(|| "None".into(), |text| format!("{text:?}"));
        format!(
            "Status(namespace={:?}, instance={:?}, target={:?}, segment={}, problem={}, slots={}, refused_slots={}, \
             refused_values={})",
            self.namespace,
            self.instance,
            self.target,
            or_none(&self.segment),
            or_none(&self.problem),
            self.slots,
            self.refused_slots,
            self.refused_values
        )
    }
}

/// How recording goes on; `None` before [`open`].
#[pyfunction]
pub(crate) fn status() -> Option<Status> {
    let recording = RECORDING.get()?;
    let Recording { recorder, settings, .. } = recording;
    let recorded = recorder.status();
    let (segment, reason) = match recorded.memory {
        RecorderMemory::Mapped { path, .. } => (Some(path.to_string_lossy().into_owned()), None),
        RecorderMemory::Anonymous { reason } => (None, reason.map(|reason| reason.to_string())),
    };
    let push_error = recording.pusher().and_then(|pusher| pusher.status().last_error);
    Some(Status {
        namespace: settings.namespace.to_string(),
        instance: settings.instance.clone(),
        target: settings.target.to_string(),
        segment,
        problem: reason.or(push_error),
        slots: recorded.slots,
        refused_slots: recorded.refused_slots,
        refused_slots_named: recorded
            .refused_slots_named
            .into_iter()
            .map(|refused| (refused.sample, refused.reason))
            .collect(),
        refused_values: recorded.refused_values,
        refused_exemplars: recorded.refused_exemplars,
    })
}
