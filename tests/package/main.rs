//! What a system gets installed: completions, man pages, units, the desktop's files. Each is given to
//! the program that will read it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod deb;
mod desktop;
mod generated;
mod people;
mod setup;
#[path = "../support/mod.rs"]
mod support;
mod terminal;

use std::process::{Output, Stdio};

/// The binary, as it is installed.
const BINARY: &str = env!("CARGO_BIN_EXE_msn-handoff");

#[allow(clippy::disallowed_methods, reason = "programs under test")]
async fn run(program: &str, args: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(program);
    command.args(args).env("LC_ALL", "C.UTF-8");
    command.stdin(Stdio::null()).output().await.unwrap()
}
