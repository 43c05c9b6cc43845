//! `msn-handoff stdio`, as clients that start it use it: line by line, and by the client in `contrib/`
//! at a real server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    clippy::missing_panics_doc
)]

mod client;
mod ends;
#[allow(dead_code, reason = "these tests take what they need")]
#[path = "../voice/peer.rs"]
mod peer;
mod pipe;
mod stage;
#[path = "../support/mod.rs"]
mod support;
