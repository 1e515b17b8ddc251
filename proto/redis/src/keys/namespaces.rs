//! `metrifold:namespaces`: which namespaces there are, so that servers find them without scanning.
//!
//! Type: set of names. Written by whoever uses a namespace first. No expiry. A user whose ACL does not allow this key
//! works all the same; its namespace is then known only to the servers that are configured with it.

/// The index of namespaces.
pub const NAMESPACES: &str = "metrifold:namespaces";
