//! What the proxy, the relay and the start of a program cost, each beside what a user would have
//! instead, in one run: `tests/bench/run`. The machine may be busy, so a row is a ratio, and its sides
//! take turns. `docs/PERFORMANCE.md` says what came of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs
)]

mod chat;
mod handover;
mod idle;
mod measure;
mod media;
mod proxies;
mod reading;
mod relays;
mod server;
mod start;

use std::process::ExitCode;

const ROWS: [(&str, fn()); 6] = [
    ("chat", chat::rows),
    ("idle", idle::rows),
    ("reading", reading::rows),
    ("handover", handover::rows),
    ("media", media::rows),
    ("start", start::rows),
];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    if let [mode, rest @ ..] = wanted.as_slice()
        && mode == relays::MODE
    {
        relays::run(rest);
        return ExitCode::SUCCESS;
    }
    if let Some(unknown) = wanted
        .iter()
        .find(|name| !ROWS.iter().any(|(row, _)| row == *name))
    {
        let known = ROWS.map(|(row, _)| row).join(", ");
        println!("no such rows: {unknown}; there are {known}");
        return ExitCode::FAILURE;
    }
    for (name, rows) in ROWS {
        if wanted.is_empty() || wanted.iter().any(|one| one == name) {
            rows();
        }
    }
    ExitCode::SUCCESS
}
