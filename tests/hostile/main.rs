//! What strangers may send, sent: text that would be an option, a second argument, a second line, a
//! command of a shell or of a terminal; too much of everything; and the end of our own process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod arguments;
mod confined;
mod flood;
mod invited;
mod killed;
mod promises;
mod recorder;
mod screen;
mod texts;
mod wire;

#[path = "../support/mod.rs"]
mod support;
