//! What can be wrong with stored bytes.

/// Why stored bytes could not be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// It ends too early.
    #[error("{what} ends too early")]
    Truncated {
        /// Which blob.
        what: &'static str,
    },
    /// It does not begin as it should.
    #[error("{what} does not begin like one; another program may write under this namespace")]
    WrongKind {
        /// Which blob was expected.
        what: &'static str,
    },
    /// A later version wrote it.
    #[error("{what} has format version {version}, which is newer than this program; update this program")]
    UnknownVersion {
        /// Which blob.
        what: &'static str,
        /// The version it has.
        version: u8,
    },
    /// Its bytes changed since they were written.
    #[error("{what} is damaged: its checksum does not fit")]
    Checksum {
        /// Which blob.
        what: &'static str,
    },
    /// It is well formed but makes no sense.
    #[error("{what} makes no sense: {why}")]
    Invalid {
        /// Which blob or field.
        what: &'static str,
        /// What is wrong.
        why: &'static str,
    },
}
