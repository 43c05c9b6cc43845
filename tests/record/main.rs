//! Invitations that nothing here understands: passed, refused, or recorded (APPLICATIONS.md 9).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod bounds;
mod policies;
mod recording;
mod stage;
#[path = "../support/mod.rs"]
mod support;
mod tshark;
mod walkthrough;
