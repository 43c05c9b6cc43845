//! Which address is ours to announce, which of theirs is allowed, and every socket we open.

pub mod activation;
pub mod callers;
pub mod choice;
pub mod default_route;
pub mod mapping;
pub mod outside;
pub mod own;
pub mod owner;
pub mod place;
pub mod policy;
pub mod socket;
pub mod stun;
pub mod whereabouts;
