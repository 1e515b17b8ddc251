//! The vocabulary that workers, wire, stores and scrape share. Pure: no clock, no randomness, no I/O.
//!
//! A *source* (usually one worker process) owns an append-only [`DescriptorList`]; each [`Descriptor`] names one
//! *slot*, and [`Values`] holds one `f64` per slot. Everything else in Metrifold moves, stores, merges or prints
//! these three.
//!
//! ```
//! use metrifold_model::{Descriptor, DescriptorList, Kind, Labels, Values};
//!
//! let mut descriptors = DescriptorList::default();
//! descriptors.push(Descriptor::new(Kind::Counter, "req", "req_total", Labels::default(), "Requests"));
//! let values = Values::from_slots(vec![3.0]);
//! assert_eq!(descriptors.len(), values.slots.len());
//! ```

mod annotations;
mod check;
mod descriptor;
mod double_double;
mod exemplar;
mod identity;
mod kind;
mod label_names;
mod labels;
pub mod limits;
mod number;
mod values;

pub use annotations::{Annotations, Marks, Presence, earlier};
pub use check::{DescriptorError, NAME_LABEL, SlotRule, WORKER_LABEL_PREFIX, check_labels};
pub use descriptor::{Descriptor, DescriptorHash, DescriptorList, SeriesKey};
pub use double_double::DoubleDouble;
pub use exemplar::Exemplar;
pub use identity::{Epoch, HOST_LABEL, Incarnation, Namespace, NamespaceError, Seq, Worker};
pub use kind::{GaugeMode, Kind, MergeMode};
pub use label_names::LabelNames;
pub use labels::Labels;
pub use number::{format_float, greater, lesser, newer, write_float};
pub use values::Values;
