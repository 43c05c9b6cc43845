//! The proxy between real sockets. Where every byte counts the server is a script ([`stage`]); where
//! a whole conversation counts it is the demo's server with its clients, which share no code with the
//! proxy's framing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod conversations;
mod ends;
mod invitations;
mod passing;
mod stage;
mod stranger;
#[path = "../support/mod.rs"]
mod support;
