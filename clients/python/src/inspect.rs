//! What segments hold, and who serves them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use metrifold_segment::SegmentReader;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

/// One value of a segment: kind (as prometheus_client names its files), sample, labels, value.
type Entry = (&'static str, String, BTreeMap<String, String>, f64);

fn failed(error: impl std::fmt::Display) -> PyErr {
    PyOSError::new_err(error.to_string())
}

/// Reads a segment's values, whoever wrote it.
#[pyfunction]
pub(crate) fn read_segment(path: PathBuf) -> PyResult<Vec<Entry>> {
    let mut reader = SegmentReader::open(path).map_err(failed)?;
    let (descriptors, values) = reader.refresh().map_err(failed)?;
    let labels = |pairs: &metrifold_model::Labels| {
        pairs.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    let entries = descriptors.iter().zip(&values.slots).map(|(descriptor, value)| {
        (descriptor.kind.region_name(), descriptor.sample.clone(), labels(&descriptor.labels), *value)
    });
    Ok(entries.collect())
}

/// Whether a local Metrifold serves a segment directory now. Makes nothing where there is none.
#[pyfunction]
pub(crate) fn agent_is_running(directory: PathBuf) -> bool {
    metrifold_segment::is_served(&directory)
}

/// Where segments are put unless the program or the environment says otherwise.
#[pyfunction]
pub(crate) fn default_directory() -> PathBuf {
    metrifold_segment::default_path()
}
