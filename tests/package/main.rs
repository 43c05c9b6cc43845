//! What a system gets installed: completions, man pages, units, the desktop's files. Each is given to
//! the program that will read it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod generated;
#[path = "../support/mod.rs"]
mod support;

/// The binary, as it is installed.
const BINARY: &str = env!("CARGO_BIN_EXE_msn-handoff");
