//! Worker memory: slots in prometheus_client's `.db` layout, in mapped segments with a header and a lock.
//!
//! The smallest working program: a process records, and whoever serves the directory reads.
//!
//! ```
//! use metrifold_model::{Descriptor, Kind, Labels};
//! use metrifold_segment::{Recorder, RecorderSettings, SegmentDirectory, SegmentReader};
//!
//! # let temporary = tempfile::tempdir()?;
//! # let path = temporary.path().to_path_buf();
//! let recorder = Recorder::open(RecorderSettings { directory: Some(path.clone()), ..Default::default() });
//! let requests = recorder.slot(Descriptor::new(Kind::Counter, "req", "req_total", Labels::default(), "Requests"));
//! requests.add(1.0);
//!
//! let segments = SegmentDirectory::open(path)?.segments()?;
//! let mut reader = SegmentReader::open(&segments[0])?;
//! let (descriptors, values) = reader.refresh()?;
//! assert_eq!((descriptors.len(), values.slot(0)), (1, 1.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Promises
//!
//! - **Recording costs memory accesses only.** [`Slot::add`] loads the process's fork generation and the slot's place, and
//!   swaps one word: no system call, no lock, no allocation. (The first call after a fork makes the child's segment.)
//! - **Recording never fails the application.** A full file system, a missing permission or a limit is an error code, never
//!   SIGBUS or SIGXFSZ: blocks are allocated before they are touched. What finds no room is counted in anonymous memory, and
//!   [`Recorder::status`] names it.
//! - **Death loses nothing.** What was added is in the file, SIGKILL or not. The kernel drops the lock at death, also across
//!   pid namespaces, so a reader knows.
//! - **A fork starts from zero** in a segment of its own, under its own incarnation; slots go on to work.
//! - **The order of slots is the same for every reader, always**: a journal fixes it, and readers only follow the journal.
//! - **Reading harms nobody.** No contents of a file panic or kill its reader, or make it allocate blocks.
//! - **What a holder sent survives it**: [`Holder`] switches between two halves, so a kill leaves the former state or the new.
//!
//! # Not promised
//!
//! - Survival of the machine: segments are shared memory.
//! - One moment for all slots: each value is read whole, but a reader may see one event's bucket before its sum.
//! - A time-stamped gauge's value and time as a pair: a reader never sees a new time with an older value, but may see a new
//!   value with the former time until the next read.
//! - Every exemplar: of those that threads record at once one is kept, and each segment has room for
//!   [`EXEMPLARS_PER_SOURCE_MAX`](metrifold_model::limits::EXEMPLARS_PER_SOURCE_MAX) slots that have one.
//! - Forks past the C library (a raw `clone`), and files on network file systems.
//! - A lock that outlives the application closing descriptors it did not open; the process itself must then be visible.
//!
//! # Layout
//!
//! A header page, then 19 sparse areas of [`REGION_BYTES`]: a region per kind in prometheus_client's layout, the order journal,
//! what the holder sent to each of two targets, and the exemplars. In a segment a key may have a fifth element, the unit; and
//! the second number of a sum, which has no time stamp, is when it began to count. The same parser reads the files that prometheus_client itself writes:
//! [`read_db_file`].

mod annotate;
mod blocks;
mod db_file;
mod descriptors;
mod directory;
mod exemplar;
mod fork;
mod geometry;
mod header;
mod holder;
mod journal;
mod key;
mod lock;
mod mapping;
mod multiproc;
mod proc_files;
mod process;
mod reader;
mod recorder;
mod region;
mod settings;
mod shared;
mod slot;
mod slot_state;
mod state;
mod status;
mod writer;

pub use db_file::{
    DbError, DbFile, DbIdentity, DbReader, LeftOut, identity as db_identity, parse_file_name,
    read_file as read_db_file,
};
pub use descriptors::leave_shared_descriptors;
pub use directory::{
    AgentLock, AgentLockError, DirectoryError, ORPHAN_AGE, SegmentDirectory, default_path, is_served,
};
pub use fork::generation as fork_generation;
pub use geometry::REGION_BYTES;
pub use header::{HeaderError, SegmentHeader};
pub use holder::{Holder, HolderError, HolderState};
pub use key::{decode_key, encode_key};
pub use multiproc::{MultiprocDirectory, MultiprocError};
pub use proc_files::{Held, held_by, processes};
pub use process::ProcessIdentity;
pub use reader::{Liveness, SegmentError, SegmentReader};
pub use recorder::Recorder;
pub use region::{Entry, RawEntry, RegionError, encode_entry, parse_region, raw_entries};
pub use settings::RecorderSettings;
pub use slot::Slot;
pub use status::{REFUSED_SLOTS_NAMED_MAX, RecorderMemory, RecorderStatus, RefusedSlot};
pub use writer::CreateError;
