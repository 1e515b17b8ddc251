//! The store trait, its embedded and Redis implementations, and the suite that both pass.
