//! Messages that cannot be understood.

use metrifold_model::NamespaceError;

/// What is wrong with a message: the field, the value, the allowed range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The namespace is not allowed.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// A required field is missing.
    #[error("field {field} is missing")]
    Missing {
        /// Path of the field.
        field: &'static str,
    },
    /// A number is outside its range.
    #[error("field {field} is {given}, allowed is {allowed}")]
    OutOfRange {
        /// Path of the field.
        field: &'static str,
        /// What was given.
        given: u64,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A column of numbers is not a whole number of values.
    #[error(
        "field {field} has {given} bytes, which is not a multiple of 8 (one little-endian f64 per value)"
    )]
    Column {
        /// Path of the field.
        field: &'static str,
        /// Its length.
        given: usize,
    },
}
