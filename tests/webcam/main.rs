//! The webcam, sent by real programs over a bad line, to a recording and to a player
//! (TOOLS.md 6). What was seen is compared with what was sent.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod dynamic;
mod each_kind;
mod ends;
mod intruder;
mod invitation;
mod late;
mod picture;
mod reports;
mod screen;
mod sender;
mod session;
#[path = "../support/mod.rs"]
mod support;
mod wire;

use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicU8, Ordering},
};

/// A loopback address that no other test uses.
fn address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, high | 0x80, low, NEXT.fetch_add(1, Ordering::Relaxed))
}
