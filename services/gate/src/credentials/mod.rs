//! What callers show, and how often they may be wrong.

mod attempts;
mod bucket;
mod header;
mod passwords;

pub(crate) use attempts::{Attempts, Origin};
pub(crate) use bucket::Bucket;
pub(crate) use header::Shown;
pub(crate) use passwords::{Passwords, Unchecked};
