//! Files that prometheus_client itself wrote: `counter_123.db`, `gauge_livesum_123.db`, ...

use std::path::{Path, PathBuf};

use metrifold_model::{DescriptorList, Kind, Values};

use crate::layout::{RegionError, columns, parse_region};

/// One of prometheus_client's files, read at one moment.
///
/// prometheus_client updates value and time stamp with a plain 16-byte store, so a file read while its owner writes may
/// show a new value with an old time stamp; its own collector has the same view.
#[derive(Clone, Debug)]
pub struct ForeignFile {
    /// Type and gauge mode, from the file's name.
    pub kind: Kind,
    /// The process identifier from the file's name: a pid unless the application chose another.
    pub process: String,
    /// The file's entries in order.
    pub descriptors: DescriptorList,
    /// Their values.
    pub values: Values,
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// The name does not follow prometheus_client's pattern.
    #[error(
        "{path}: not named like a file of prometheus_client, such as counter_123.db or gauge_livesum_123.db"
    )]
    Name {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The contents are damaged; the file's other-kind siblings may be fine.
    #[error("{path}: {source}")]
    Region {
        /// The file.
        path: PathBuf,
        /// What is damaged.
        source: RegionError,
    },
}

/// Kind and process identifier of a file name such as `gauge_livesum_123.db`; `None` for other names.
pub fn parse_file_name(name: &str) -> Option<(Kind, &str)> {
    let stem = name.strip_suffix(".db")?;
    Kind::ALL.into_iter().find_map(|kind| {
        let process = stem.strip_prefix(kind.region_name())?.strip_prefix('_')?;
        (!process.is_empty()).then_some((kind, process))
    })
}

/// Reads one of prometheus_client's files.
pub fn read_file(path: impl AsRef<Path>) -> Result<ForeignFile, ForeignError> {
    let path = path.as_ref();
    let name = path.file_name().and_then(|name| name.to_str());
    let (kind, process) =
        name.and_then(parse_file_name).ok_or_else(|| ForeignError::Name { path: path.into() })?;
    let bytes = std::fs::read(path).map_err(|source| ForeignError::Io { path: path.into(), source })?;
    let entries =
        parse_region(&bytes, kind).map_err(|source| ForeignError::Region { path: path.into(), source })?;
    let values = columns(&entries);
    let descriptors = entries.into_iter().map(|entry| entry.descriptor).collect();
    Ok(ForeignFile { kind, process: process.to_owned(), descriptors, values })
}

#[cfg(test)]
mod tests {
    use metrifold_model::GaugeMode;

    use super::*;

    #[test]
    fn names_give_kind_and_process() {
        assert_eq!(parse_file_name("counter_123.db"), Some((Kind::Counter, "123")));
        assert_eq!(
            parse_file_name("gauge_livesum_web-1.db"),
            Some((Kind::Gauge(GaugeMode::LiveSum), "web-1"))
        );
        assert_eq!(parse_file_name("gauge_all_1.db"), Some((Kind::Gauge(GaugeMode::All), "1")));
        for bad in ["counter.db", "counter_.db", "gauge_123.db", "counter_1", "info_1.db", ""] {
            assert_eq!(parse_file_name(bad), None, "{bad}");
        }
    }
}
