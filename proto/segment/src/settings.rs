//! What a recorder needs to know.

use std::path::PathBuf;

use metrifold_model::{Labels, Namespace};

/// Who records, and where.
#[derive(Clone, Debug, Default)]
pub struct RecorderSettings {
    /// The segment directory; `None`: [`default_path`](crate::default_path).
    pub directory: Option<PathBuf>,
    /// The application.
    pub namespace: Namespace,
    /// Host, pod or container.
    pub instance: String,
    /// Constant labels of the worker.
    pub labels: Labels,
}
