//! Many workers to one view: counters, histograms, summaries, gauge modes, conflicts; pure.
//!
//! [`merge`] reads consistent copies of a namespace's shards and returns the [`View`] that Prometheus is shown; a
//! [`Merger`] does the same again and again, faster. Equal contents give equal views, to the bit, in whatever order
//! workers and shards come and whatever was merged before:
//!
//! - Sums are added in twice the precision of `f64`, values minus base per source, and rounded once: order does not
//!   show while a sum's largest and smallest addend lie within 106 bits. A sum is never −0,
//!   and a NaN or infinity that a source sent is left out and named.
//! - A gauge that merges by minimum, maximum or newest value is chosen by rules without an order: NaN is shown only if
//!   there is nothing else, −0 is below 0, of two values with one time stamp the larger is newer, and a value without
//!   a positive time stamp was never set. Gauges may be infinite.
//! - Where sources disagree about a family's type or mode, one is shown and the others are left out and named in
//!   [`View::conflicts`]: kinds that outlive their workers before kinds that do not, and among those the lower
//!   [code](metrifold_model::Kind::code) (counter before histogram before summary before gauges). Unlike "who came
//!   first" this cannot flip when workers die and are folded. Names clash by the same order.
//! - Where they disagree about help or unit, a live source's text is shown, else that of the source folded last. A unit
//!   that is no suffix of the family's name is left out: OpenMetrics forbids it.
//! - Of times of creation the earliest is shown, of exemplars the newest. An exemplar that no format can carry is left
//!   out alone, and named.
//! - A sum that was removed everywhere keeps its value and is hidden ([`View::removed`]), until somebody counts it again.
//!
//! ```
//! use metrifold_merge::{MergeOptions, merge};
//!
//! let view = merge(&[], &MergeOptions::default());
//! assert!(view.families.is_empty() && view.conflicts.is_empty());
//! ```

mod combine;
mod conflict;
mod families;
mod gather;
mod grouping;
mod help;
mod layout;
mod merger;
mod names;
mod options;
mod removal;
mod table;
mod view;

pub use conflict::{Conflict, ConflictReason};
pub use merger::{Merger, merge};
pub use names::exposed;
pub use options::MergeOptions;
pub use view::{Family, FamilyKind, Sample, Series, Sources, View};
