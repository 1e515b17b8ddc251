//! A sidecar beside the directory of applications that know nothing of it.

mod application;
mod beside;
mod central;
mod files;
mod owners;
mod restarts;
mod site;

use std::time::Duration;

/// Time that anything may take that is expected to happen.
const PATIENCE: Duration = Duration::from_secs(60);
