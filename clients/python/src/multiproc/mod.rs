//! Many files of prometheus_client to one view, by the merge that the servers use.
//!
//! [`files`] lists and reads, [`keys`] recognises what stands in them, [`scan`] does so for many at once, [`sources`] turns
//! each into records as a store would hold them, [`collection`] has them merged. What merging loses because a store must
//! refuse it (NaN, infinities), and what only files know (their order, which decides about help), is added here.

pub(crate) mod collection;
pub(crate) mod files;
mod keys;
mod scan;
mod sources;
