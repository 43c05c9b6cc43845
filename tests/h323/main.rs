//! The messages of H.323: what pycrate encoded is read to the same values, and what is written here
//! Wireshark reads without a complaint.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod asterisk;
mod encoded;
mod hostile;
mod sides;
mod two;
