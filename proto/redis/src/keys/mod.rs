//! Every kind of key, one file each, with layout, lifetime and owner.
//!
//! Keys begin with the namespace, so that an ACL of `~<namespace>:*` suffices (and the read-only-ish index of
//! namespaces, which may be forbidden). All keys of a shard share one hash tag, hence one Cluster slot.

mod archive;
mod folds;
mod meta;
mod namespaces;
mod record;
mod shard;
mod tombs;
mod values;
mod workers;

pub use meta::{META_SHARDS, meta};
pub use namespaces::NAMESPACES;
pub use shard::{ShardKeys, shard_of};
pub use values::{STAGE_EXPIRY, STAGED};
