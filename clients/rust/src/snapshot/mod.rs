//! What a registry shows at one moment, as the slots of a source. Pure: families in, descriptors and values out.
//!
//! | gathered | slots |
//! | --- | --- |
//! | counter | one, under the name it has; the family's name is that without `_total`, so that `requests_total` merges with Python's `Counter("requests")` |
//! | gauge | one, under the mode that [`GaugeModes`] gives it |
//! | histogram | one per bucket, not cumulative, `+Inf` included, and the sum; `le` as prometheus_client prints it (`0.1`, `1.0`, `1e+06`) |
//! | summary | `_sum` and `_count`; quantiles cannot be merged and are dropped |
//! | untyped | none: it has no rule by which to merge |
//!
//! - Slots are appended as series appear and never move, so a descriptor list only grows.
//! - A series that vanishes keeps its last value.
//! - Nothing falls: where a counter, histogram or summary shows less than before (it was reset, or removed and made
//!   again) the old value stays as a carry under the new one. A re-created counter that has passed its old value
//!   by the next gather cannot be told from one that went on counting, and is taken for that.
//! - A counter or sum that is NaN or infinite keeps its last good value.
//! - What is left out is [named and counted](LeftOut).

mod bound;
mod flatten;
mod left_out;
mod modes;
mod series;

pub use left_out::{LeftOut, Reason};
pub use modes::GaugeModes;
pub use series::Snapshot;
