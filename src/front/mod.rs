//! The ways invitations reach us and leave us.

pub mod proxy;
