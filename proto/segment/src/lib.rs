//! Worker memory: slots in prometheus_client's .db layout, in mapped segments with a header and a lock.
mod blocks;
mod directory;
mod foreign;
mod geometry;
mod header;
mod holder;
mod key;
mod layout;
mod lock;
mod mapping;
mod ownership;
mod process;
mod reader;
mod recorder;
mod slot;
mod writer;

pub use directory::{AgentLock, AgentLockError, DirectoryError, ORPHAN_AGE, SegmentDirectory, default_path};
pub use foreign::{ForeignError, ForeignFile, parse_file_name, read_file as read_foreign_file};
pub use geometry::REGION_BYTES;
pub use header::{HeaderError, SegmentHeader};
pub use holder::{Holder, HolderError, HolderState};
pub use key::{decode_key, encode_key};
pub use layout::{Entry, RegionError, encode_entry, parse_region};
pub use process::ProcessIdentity;
pub use reader::{Liveness, SegmentError, SegmentReader};
pub use recorder::{
    REFUSED_SLOTS_NAMED_MAX, Recorder, RecorderMemory, RecorderSettings, RecorderStatus, RefusedSlot,
};
pub use slot::Slot;
pub use writer::CreateError;
