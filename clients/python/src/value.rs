//! One value of a prometheus_client metric, as `prometheus_client.values.ValueClass` makes them.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

use metrifold_model::{Descriptor, Exemplar, GaugeMode, Kind, Labels};
use metrifold_segment::{Recorder, RecorderSettings, Slot};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::recording;
use crate::share::{Share, grows};

thread_local! {
    /// prometheus_client does not tell a value its metric's unit. Gone, and so empty, where the interpreter ends later than
    /// the thread that runs it, as under uWSGI.
    static UNIT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Sets the unit of the values that this thread makes from now on, and returns the former one.
#[pyfunction]
pub(crate) fn set_unit(unit: String) -> String {
    UNIT.try_with(|current| current.replace(unit)).unwrap_or_default()
}

/// A float in the process's segment. Stands where prometheus_client has `MutexValue` or `MmapedValue`.
///
/// `inc` is an atomic add: no system call, no lock, no allocation. What prometheus_client may lower (`reset()`, a child that
/// was removed and made again) starts anew for this process only: the segment's value never falls. Where several registries
/// have the series, each shows its own [`Share`].
#[pyclass(frozen, module = "metrifold._native")]
pub(crate) struct Value {
    slot: Slot,
    /// Whether the slot may only grow.
    grows: bool,
    share: Arc<Share>,
    /// As the program gave it, for this process's own exposition. Held for a move of a pointer and never while Python code runs.
    exemplar: Mutex<Option<Py<PyAny>>>,
}

#[pymethods]
impl Value {
    /// prometheus_client asks this to know whether values of several processes will be merged.
    #[classattr]
    fn _multiprocess() -> bool {
        true
    }

    /// Called as prometheus_client calls its own value classes.
    #[new]
    #[pyo3(signature = (typ, metric_name, name, labelnames, labelvalues, help_text, multiprocess_mode="", **_kwargs))]
    #[expect(clippy::too_many_arguments, reason = "prometheus_client calls with these")]
    fn new(
        typ: &str,
        metric_name: &Bound<'_, PyString>,
        name: &Bound<'_, PyString>,
        labelnames: &Bound<'_, PyAny>,
        labelvalues: &Bound<'_, PyAny>,
        help_text: &Bound<'_, PyString>,
        multiprocess_mode: &str,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let recorder = recording::recorder().ok_or_else(|| {
            PyRuntimeError::new_err("metrifold.install() must be called before values are made")
        })?;
        // To Prometheus a label without a value is none.
        let labels = Labels::new(pairs(labelnames, labelvalues)?.filter(|(_, value)| !value.is_empty()));
        let (metric_name, name, help) = (text(metric_name)?, text(name)?, text(help_text)?);
        let unit = UNIT.try_with(|unit| unit.borrow().clone()).unwrap_or_default();
        let descriptor = |kind| Descriptor { unit, ..Descriptor::new(kind, metric_name, name, labels, help) };
        Ok(match kind(typ, multiprocess_mode) {
            Some(kind) => Value::of(recorder.slot(descriptor(kind)), kind),
            // A metric of somebody's own type counts on for its process; there is no rule to merge it by.
            None => {
                let kind = Kind::Gauge(GaugeMode::All);
                Value::of(Recorder::anonymous(RecorderSettings::default()).slot(descriptor(kind)), kind)
            }
        })
    }

    /// Adds `amount`.
    fn inc(&self, amount: f64) {
        match self.share.is_one_of_several() {
            false => self.slot.add(amount),
            true => self.share.add(&self.slot, amount),
        }
    }

    /// Sets the value; `timestamp` (Unix seconds) is kept where the gauge's mode needs it.
    #[pyo3(signature = (value, timestamp=None))]
    fn set(&self, value: f64, timestamp: Option<f64>) {
        match self.grows {
            true => self.set_by_growing(value),
            false if self.share.is_one_of_several() => {
                self.share.set(&self.slot, value, timestamp.unwrap_or(0.0));
            }
            false => self.slot.set_at(value, timestamp.unwrap_or(0.0)),
        }
    }

    /// The value as this process sees it.
    fn get(&self) -> f64 {
        self.share.get(&self.slot)
    }

    /// Hides the series, which was removed: what it counted stays counted, but is shown only where it is counted still.
    fn remove(&self) {
        if self.share.remove(&self.slot) {
            self.slot.remove();
        }
    }

    /// Shows a removed series again.
    fn restore(&self) {
        self.share.restore();
        self.slot.restore();
    }

    /// Lets the value stand at `value` now, without counting anything: for a count that others have reported.
    fn start_at(&self, value: f64) {
        self.share.start_at(&self.slot, value);
    }

    /// When the series began to count, Unix seconds.
    fn set_created(&self, created: f64) {
        self.slot.set_created(created);
    }

    /// Keeps an exemplar. One that no scrape could show is kept for this process's own exposition only, and counted in
    /// the status.
    #[pyo3(signature = (exemplar))]
    fn set_exemplar(&self, exemplar: Option<Bound<'_, PyAny>>) {
        if let Some(exemplar) = &exemplar {
            // Whatever else somebody sets is refused like one without a time.
            let nothing = Exemplar { labels: Labels::default(), value: 0.0, timestamp: f64::NAN };
            self.slot.set_exemplar(&read_exemplar(exemplar).unwrap_or(nothing));
        }
        let exemplar = exemplar.map(Bound::unbind);
        let mut kept = self.exemplar.lock().unwrap_or_else(PoisonError::into_inner);
        let former = std::mem::replace(&mut *kept, exemplar);
        // Dropped only after the lock: a destructor in Python may do anything.
        drop(kept);
        drop(former);
    }

    /// The exemplar that was kept last.
    fn get_exemplar(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let kept = self.exemplar.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().map(|exemplar| exemplar.clone_ref(py))
    }
}

impl Value {
    fn of(slot: Slot, kind: Kind) -> Self {
        slot.restore();
        // prometheus_client shows a new child at zero.
        let share = Share::of(&slot);
        Value { slot, grows: grows(kind), share, exemplar: Mutex::new(None) }
    }

    /// Up is an increment. Down is a new start: what was counted stays counted.
    fn set_by_growing(&self, value: f64) {
        let change = value - self.get();
        if change < 0.0 && change.is_finite() {
            self.share.start_at(&self.slot, value);
        } else {
            self.inc(change);
        }
    }
}

fn kind(typ: &str, multiprocess_mode: &str) -> Option<Kind> {
    match (typ, multiprocess_mode) {
        ("gauge", "") => Some(Kind::Gauge(GaugeMode::All)),
        ("gauge", mode) => Kind::from_region_name(&format!("gauge_{mode}")),
        ("counter" | "histogram" | "summary" | "info" | "stateset", _) => Kind::from_region_name(typ),
        _ => None,
    }
}

/// Half a surrogate pair (bytes that were no UTF-8) must not fail the application: it becomes U+FFFD, as where segments are
/// read.
fn text(text: &Bound<'_, PyString>) -> PyResult<String> {
    if let Ok(text) = text.to_str() {
        return Ok(text.to_owned());
    }
    let bytes: Vec<u8> = text.call_method1("encode", ("utf-16-le", "surrogatepass"))?.extract()?;
    let units: Vec<u16> = bytes.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
    Ok(String::from_utf16_lossy(&units))
}

/// prometheus_client's `Exemplar`: labels, value, and a time stamp that may be missing.
fn read_exemplar(exemplar: &Bound<'_, PyAny>) -> PyResult<Exemplar> {
    let labels = exemplar.getattr("labels")?;
    let timestamp = exemplar.getattr("timestamp")?;
    let float = |number: &Bound<'_, PyAny>| number.call_method0("__float__")?.extract::<f64>();
    Ok(Exemplar {
        labels: Labels::new(pairs(&labels.call_method0("keys")?, &labels.call_method0("values")?)?),
        value: float(&exemplar.getattr("value")?)?,
        timestamp: if timestamp.is_none() { 0.0 } else { float(&timestamp)? },
    })
}

fn pairs(
    names: &Bound<'_, PyAny>,
    values: &Bound<'_, PyAny>,
) -> PyResult<impl Iterator<Item = (String, String)>> {
    let strings = |sequence: &Bound<'_, PyAny>| -> PyResult<Vec<String>> {
        sequence.try_iter()?.map(|item| text(&item?.str()?)).collect()
    };
    Ok(strings(names)?.into_iter().zip(strings(values)?))
}
