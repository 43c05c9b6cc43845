//! Which address is ours to announce, which of theirs is allowed, and every socket we open.

pub mod activation;
pub mod callers;
pub mod own;
pub mod place;
pub mod policy;
pub mod socket;
pub mod whereabouts;
