//! Voice, end to end, through the real proxy: an invitation goes over MSNP, the SIP front and a real
//! phone take the call, and both sides hear the other's tone.
//!
//! The remote peer is the demo's client with invitation payloads made here by hand (after the
//! captures in `tests/vectors`), and sipp as the genuine client's SIP (APPLICATIONS.md 1.3). Nothing
//! of the code under test writes what it then reads.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod agent;
mod binary;
mod crossed;
mod direct;
mod ends;
mod invited;
mod inviting;
mod peer;
mod phones;
mod stage;
#[path = "../support/mod.rs"]
mod support;
