//! Many workers to one view: counters, histograms, summaries, gauge modes, conflicts; pure.
//!
//! [`merge`] reads consistent copies of a namespace's shards and returns the [`View`] that Prometheus is shown. Equal
//! contents give equal views, to the bit, in whatever order workers and shards come:
//!
//! - Sums are added in twice the precision of `f64`, values minus base per source, and rounded once.
//! - A gauge that merges by minimum, maximum or newest value is chosen by rules without an order.
//! - Where sources disagree about a family's type or mode, the kind with the lower code wins (counter before histogram
//!   before summary before gauges): unlike "who came first", this does not flip when a worker dies, because what is
//!   archived never goes. The others are left out and named in [`View::conflicts`].
//!
//! ```
//! use metrifold_merge::{MergeOptions, merge};
//!
//! let view = merge(&[], &MergeOptions::default());
//! assert!(view.families.is_empty() && view.conflicts.is_empty());
//! ```

mod families;
mod gather;
mod names;
mod table;
mod view;

pub use gather::merge;
pub use view::{Conflict, ConflictReason, Family, FamilyKind, MergeOptions, Sample, View};
