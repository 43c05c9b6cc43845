//! Which address is ours to announce, and which of theirs is allowed.

pub mod policy;
pub mod socket;
