//! Packed values, descriptors, identities, tombstones and archives.
//!
//! Every blob begins with eight bytes: a letter for what it is, its format version, two zeros, and the CRC-32 (IEEE,
//! little endian) of all that follows. Numbers are little endian; a text is its length in bytes as a `u32`, then UTF-8.

mod annotations;
mod archive;
mod bytes;
#[cfg(test)]
mod compatibility;
mod descriptors;
mod error;
#[cfg(test)]
mod tests;
mod tombstone;
mod values;
mod worker;

pub use archive::{decode_archive, encode_archive};
pub use descriptors::{decode_descriptors, encode_descriptors};
pub use error::BlobError;
pub use tombstone::{decode_tombstone, encode_tombstone};
pub use values::{decode_values, encode_values};
pub use worker::{decode_worker, encode_worker};
