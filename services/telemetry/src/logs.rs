//! Log set-up.

use std::{
    path::PathBuf,
    str::FromStr,
    sync::{Arc, Mutex},
};

use tracing_subscriber::{
    EnvFilter, Layer, fmt::MakeWriter, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

use crate::Traces;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One line of text per event, for people.
    #[default]
    Text,
    /// One JSON object per line, for machines.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            other => Err(format!("{other:?} is no log format; use `text` or `json`")),
        }
    }
}

impl std::fmt::Display for LogFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        })
    }
}

/// What is logged, how and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// `error`, `warn`, `info` (default), `debug`, `trace`, or a list of `target=level` as in `RUST_LOG`.
    pub level: String,
    /// Text (default) or JSON.
    pub format: LogFormat,
    /// The file that lines are appended to; stderr if none.
    pub file: Option<PathBuf>,
}

impl Default for LogSettings {
    fn default() -> Self {
        LogSettings { level: "info".into(), format: LogFormat::Text, file: None }
    }
}

impl LogSettings {
    /// Checks `level` without starting anything.
    ///
    /// # Errors
    /// [`LogError::Level`] if it is not a filter.
    pub fn check(&self) -> Result<EnvFilter, LogError> {
        EnvFilter::try_new(&self.level)
            .map_err(|cause| LogError::Level { given: self.level.clone(), cause: cause.to_string() })
    }
}

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level is no filter.
    #[error("log level {given:?} is not understood ({cause}); use error, warn, info, debug or trace")]
    Level {
        /// What was given.
        given: String,
        /// What was wrong with it.
        cause: String,
    },
    /// The log file cannot be opened.
    #[error("log file {} cannot be opened for appending: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// Something else in this process has set up logging.
    #[error("logging was set up twice in one process")]
    Twice,
}

/// Changes what is logged while the process runs.
#[derive(Clone)]
pub struct LogControl(Arc<dyn Fn(EnvFilter) -> bool + Send + Sync>);

impl LogControl {
    /// From now on logs what `settings.level` says; format and file stay.
    ///
    /// # Errors
    /// [`LogError::Level`] if it is not a filter.
    pub fn set_level(&self, settings: &LogSettings) -> Result<(), LogError> {
        let filter = settings.check()?;
        // It fails only after the subscriber has gone, and that lives as long as the process.
        let _ = (self.0)(filter);
        Ok(())
    }
}

impl std::fmt::Debug for LogControl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogControl").finish_non_exhaustive()
    }
}

/// Starts logging for the whole process, and recording spans if there are `traces`.
///
/// # Errors
/// If the level is not understood, the file cannot be opened, or logging runs already.
pub fn start_logs(settings: &LogSettings, traces: Option<&Traces>) -> Result<LogControl, LogError> {
    let filter = settings.check()?;
    match &settings.file {
        None => start(filter, settings.format, std::io::stderr, traces),
        Some(path) => {
            let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
            let file = file.map_err(|cause| LogError::File { path: path.clone(), cause })?;
            start(filter, settings.format, Mutex::new(file), traces)
        }
    }
}

fn start<W>(
    filter: EnvFilter,
    format: LogFormat,
    writer: W,
    traces: Option<&Traces>,
) -> Result<LogControl, LogError>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    // A reader of the log that has gone must not end the server: the subscriber's own complaint about a failed write
    // would panic on a closed stderr.
    let lines =
        tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false).log_internal_errors(false);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // Each layer has a filter of its own: what is traced does not depend on what is logged.
    let (filter, handle) = reload::Layer::new(filter);
    let subscriber =
        tracing_subscriber::registry().with(lines.with_filter(filter)).with(traces.map(Traces::layer));
    subscriber.try_init().map_err(|_| LogError::Twice)?;
    Ok(LogControl(Arc::new(move |filter| handle.reload(filter).is_ok())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_is_no_filter_is_named_in_the_error() {
        let settings = LogSettings { level: "metrifold=loud".into(), ..LogSettings::default() };
        let error = settings.check().expect_err("not a level");
        assert!(error.to_string().contains("metrifold=loud"), "{error}");
    }

    #[test]
    fn formats_read_back_as_they_print() {
        for format in [LogFormat::Text, LogFormat::Json] {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert!("xml".parse::<LogFormat>().is_err());
    }
}
