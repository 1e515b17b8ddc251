//! `<namespace>:meta`: what must be the same for all users of a namespace.
//!
//! Type: hash. Field `shards`: how many shards the namespace has. Written once, by the first server role that uses the
//! namespace. No expiry.

use metrifold_model::Namespace;

/// The field that holds the number of shards.
pub const META_SHARDS: &str = "shards";

/// The key of what must be the same for all users of a namespace.
pub fn meta(namespace: &Namespace) -> String {
    format!("{namespace}:meta")
}
