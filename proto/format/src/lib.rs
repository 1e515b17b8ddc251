//! How both stores, and the agent's ledger, keep values, descriptors, workers, tombstones and archives: packed blobs.
//!
//! Every blob begins with eight bytes: a letter for what it is, its format version, two zeros, and the CRC-32 (IEEE,
//! little endian) of all that follows. Numbers are little endian; a text is its length in bytes as a `u32`, then UTF-8.
//!
//! # Versions
//!
//! Every blob names its kind and its format version in the first two of its eight header bytes; the next two stay zero
//! in every version.
//!
//! | who | meets | what happens |
//! |---|---|---|
//! | a new reader | old data | reads it: golden bytes of every version are kept and tested |
//! | an old reader | new data | refuses it with [`BlobError::UnknownVersion`], which names kind and version |
//! | an old reader | old and new descriptors, appended | refuses the whole list in the same way |
//! | an old push script of Redis | a tombstone of a later version | refuses the push with an error; nothing is changed |
//! | any reader | a flipped bit | refuses it, mostly with [`BlobError::Checksum`]; in a header or a length by its own error |

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
