//! What multiprocess mode's collector does, for Python.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use metrifold_merge::FamilyKind;
use metrifold_model::Kind;
use pyo3::exceptions::PyFileNotFoundError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::multiproc::collection::{Collected, Collection, LeftOut, with_collection};
use crate::multiproc::files;

/// Name, labels and value of a sample.
type Sample<'py> = (String, Bound<'py, PyDict>, f64);
/// Name, help, type and samples of a family.
type Family<'py> = (String, String, &'static str, Vec<Sample<'py>>);
/// Families, and what is not shown.
type Families<'py> = (Vec<Family<'py>>, Vec<String>);

/// Merges the files of a directory.
#[pyfunction]
pub(crate) fn collect_directory(py: Python<'_>, path: PathBuf) -> PyResult<Families<'_>> {
    let collected = py.detach(|| with_collection(&path, |collection| collection.directory(&path)))?;
    families(py, &collected, true)
}

/// Merges these files.
#[pyfunction]
pub(crate) fn merge_files(py: Python<'_>, files: Vec<PathBuf>, accumulate: bool) -> PyResult<Families<'_>> {
    let collected = py.detach(|| Collection::default().files(&files));
    // Those of live gauges may have been removed since they were listed.
    let missing = |left_out: &&LeftOut| left_out.error.is_missing() && !files::may_vanish(&left_out.path);
    if let Some(LeftOut { path, error }) = collected.left_out.iter().find(missing) {
        return Err(PyFileNotFoundError::new_err(format!("{}: {error}", path.display())));
    }
    families(py, &collected, accumulate)
}

/// Merges the files of a directory into the text format 0.0.4. Returns it with what is not shown.
#[pyfunction]
pub(crate) fn directory_text(py: Python<'_>, path: PathBuf) -> PyResult<(Bound<'_, PyBytes>, Vec<String>)> {
    let (text, problems) = py.detach(|| {
        with_collection(&path, |collection| {
            let collected = collection.directory(&path)?;
            io::Result::Ok((collection.text(&collected), collected.problems()))
        })
    })?;
    Ok((PyBytes::new(py, &text), problems))
}

/// Removes the files of a dead process's live gauges.
#[pyfunction]
pub(crate) fn remove_live_files(py: Python<'_>, path: PathBuf, process: &str) -> PyResult<()> {
    py.detach(|| {
        for kind in Kind::ALL.into_iter().filter(|kind| kind.is_live()) {
            match std::fs::remove_file(path.join(format!("{}_{process}.db", kind.region_name()))) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => (),
            }
        }
        Ok(())
    })?;
    Ok(())
}

fn families<'py>(py: Python<'py>, collected: &Collected, accumulate: bool) -> PyResult<Families<'py>> {
    let mut families = Vec::with_capacity(collected.view.families.len());
    for family in &collected.view.families {
        let samples = match family.kind {
            FamilyKind::Histogram => histogram(py, family, accumulate)?,
            _ => family.samples().map(|sample| python(py, sample, sample.value)).collect::<PyResult<_>>()?,
        };
        families.push((family.name.clone(), family.help.to_string(), family.kind.name(), samples));
    }
    Ok((families, collected.problems()))
}

/// The sum of each label set before its buckets, as prometheus_client's collector has it.
fn histogram<'py>(
    py: Python<'py>,
    family: &metrifold_merge::Family,
    accumulate: bool,
) -> PyResult<Vec<Sample<'py>>> {
    let mut samples = Vec::with_capacity(family.values.len());
    let (mut first_bucket, mut below) = (0, 0.0);
    for sample in family.samples() {
        match sample.labels.get("le") {
            // Counts are whole numbers, of which differences are exact.
            Some(_) => {
                samples.push(python(
                    py,
                    sample,
                    if accumulate { sample.value } else { sample.value - below },
                )?);
                below = sample.value;
            }
            None if sample.name.ends_with("_sum") => {
                samples.insert(first_bucket, python(py, sample, sample.value)?);
            }
            // The count ends a label set.
            None => {
                if accumulate {
                    samples.push(python(py, sample, sample.value)?);
                }
                (first_bucket, below) = (samples.len(), 0.0);
            }
        }
    }
    Ok(samples)
}

fn python<'py>(py: Python<'py>, sample: metrifold_merge::Sample<'_>, value: f64) -> PyResult<Sample<'py>> {
    let labels = PyDict::new(py);
    for (name, value) in sample.labels.iter() {
        labels.set_item(name, value)?;
    }
    Ok((sample.name.to_owned(), labels, value))
}
