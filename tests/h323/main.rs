//! H.323: what pycrate encoded is read to the same values, what is said here Wireshark reads without
//! a complaint, and Asterisk calls and is called.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// The tests have sockets of their own around what has none.
#![allow(clippy::disallowed_methods)]

#[path = "../support/mod.rs"]
mod support;

mod asterisk;
mod encoded;
mod hostile;
mod sides;
mod two;
