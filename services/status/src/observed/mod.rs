//! What this process has seen of its store: for status and page, without a single read of their own.
//!
//! Every server role reads its whole store each second anyway, to fold the dead. An [`ObservedStore`] notes what passes
//! by in its [`Observed`]: the last copy of each shard, whether reads fail and why, refused pushes, and a short history.
//! However many people look at the page, the store does not notice.

mod history;
mod lives;
mod refusals;
mod shown;
mod store;

pub(crate) use history::{HISTORY_INTERVAL, HISTORY_POINTS_MAX};
pub use shown::Observed;
pub(crate) use shown::ObservedNamespace;
pub use store::ObservedStore;
