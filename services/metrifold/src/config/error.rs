//! What can be wrong with a configuration.

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigProblem {
    /// A setting that does not exist.
    #[error("unknown setting {key} in {origin}{}", suggested(suggestion))]
    Unknown {
        /// What was given.
        key: String,
        /// Where.
        origin: String,
        /// The nearest setting that exists.
        suggestion: Option<String>,
    },
    /// A value that is not allowed.
    #[error("{key} in {origin}: {message}")]
    Value {
        /// The setting.
        key: String,
        /// Where it was given.
        origin: String,
        /// What is wrong and what to write instead.
        message: String,
    },
    /// The file cannot be read.
    #[error("configuration file {path}: {message}")]
    File {
        /// The file.
        path: String,
        /// Why not.
        message: String,
    },
    /// Two settings that exclude each other.
    #[error("{0}")]
    Combination(String),
}

fn suggested(suggestion: &Option<String>) -> String {
    suggestion.as_ref().map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}

/// Everything that is wrong, in the order of the sources.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} wrong in the configuration:{}", count(.0.len()), listed(.0))]
pub struct ConfigErrors(pub Vec<ConfigProblem>);

fn count(problems: usize) -> String {
    match problems {
        1 => "1 thing is".into(),
        more => format!("{more} things are"),
    }
}

fn listed(problems: &[ConfigProblem]) -> String {
    problems.iter().map(|problem| format!("\n  - {problem}")).collect()
}
