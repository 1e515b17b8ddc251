//! The configuration file.

use std::path::Path;

use config::{Config, File, FileFormat};

use super::ConfigProblem;

/// Checks that a file can be read as TOML or YAML, by its extension, and returns it as a source.
pub(super) fn source(path: &Path) -> Result<Config, ConfigProblem> {
    let problem = |message: String| ConfigProblem::File { path: path.display().to_string(), message };
    let format = match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => FileFormat::Toml,
        Some("yaml" | "yml") => FileFormat::Yaml,
        _ => return Err(problem("the name must end in .toml, .yaml or .yml".into())),
    };
    let text = std::fs::read_to_string(path).map_err(|cause| problem(cause.to_string()))?;
    Config::builder()
        .add_source(File::from_str(&text, format))
        .build()
        .map_err(|cause| problem(cause.to_string()))
}
