//! The native part of the Python package: prometheus_client's values, kept in a segment.
//!
//! [`value::Value`] takes the place of `prometheus_client.values.ValueClass`. It records into the one recorder of the process,
//! which [`recording`] opens; [`inspect`] tells what segments hold. What a user calls is written in Python, in
//! `python/metrifold`; decisions are here, ergonomics are there.

mod inspect;
mod recording;
mod value;

use pyo3::prelude::*;

/// The module `metrifold._native`. Its stub is `python/metrifold/_native.pyi`.
#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::inspect::{agent_is_running, default_directory, read_segment};
    #[pymodule_export]
    use crate::recording::{Status, end, follow_fork, open, status, target};
    #[pymodule_export]
    use crate::value::Value;
}
