//! The native part of the Python package: prometheus_client's values, kept in a segment.
//!
//! [`value::Value`] takes the place of `prometheus_client.values.ValueClass`. It records into the one recorder of the process,
//! which [`recording`] opens and ends, by [`sigterm`] too; [`inspect`] tells what segments hold. [`collector`] merges the files that prometheus_client's own
//! values write. What a user calls is written in Python, in
//! `python/metrifold`; decisions are here, ergonomics are there.

mod collector;
mod inspect;
mod multiproc;
mod recording;
mod share;
mod sigterm;
mod value;

use pyo3::prelude::*;

/// The module `metrifold._native`. Its stub is `python/metrifold/_native.pyi`.
#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::collector::{collect_directory, directory_text, merge_files, remove_live_files};
    #[pymodule_export]
    use crate::inspect::{agent_is_running, default_directory, read_segment};
    #[pymodule_export]
    use crate::recording::{Status, end, end_by_sigterm, flush, follow_fork, open, status, target};
    #[pymodule_export]
    use crate::value::{Value, set_unit};
}
