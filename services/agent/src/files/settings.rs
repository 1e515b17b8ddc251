//! How a multiprocess directory is served.

use std::sync::Arc;

use metrifold_model::Namespace;
use metrifold_store::Store;

/// How it is found out that the process of a file is dead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PidLiveness {
    /// By the pid in the file's name and the start time of the process that was seen to hold the file.
    #[default]
    Pid,
    /// Not at all: a file's process lives until the file is removed. For processes on other hosts or in other pid
    /// namespaces.
    Off,
}

/// How the files of one directory are served.
#[derive(Clone)]
pub struct FilesSettings {
    /// The namespace that the sources belong to.
    pub namespace: Namespace,
    /// This host, pod or container.
    pub instance: String,
    /// How dead processes are found.
    pub liveness: PidLiveness,
    /// Whether files of dead processes are removed once their values are in the archive of `store`. Default false.
    pub is_cleaned_up: bool,
    /// The store behind the agent's first target. If it forgets at a restart, so do the files that were removed.
    pub store: Arc<dyn Store>,
}
