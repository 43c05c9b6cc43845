//! What the end-to-end tests share: real programs as peers and as tools, each in a scratch folder
//! and on ports of its own, and a ruler for what was heard. The facts about the programs are in
//! TOOLS.md 2 to 4.

#![allow(dead_code, reason = "each test file takes what it needs")]
#![allow(
    clippy::print_stderr,
    reason = "a test tells what it left out, and what a child said"
)]

pub(crate) mod baresip;
pub(crate) mod child;
pub(crate) mod handset;
pub(crate) mod linphone;
pub(crate) mod media;
pub(crate) mod namespace;
pub(crate) mod passport;
pub(crate) mod pycrate;
pub(crate) mod rtc;
pub(crate) mod screen;
pub(crate) mod sides;
pub(crate) mod sockets;
pub(crate) mod sound;
pub(crate) mod wireshark;

use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use msn_handoff::endpoint::socket;

/// Ends a test that waits for what never comes; no assertion depends on its length.
pub(crate) const LIMIT: Duration = Duration::from_secs(40);

/// Whether all these programs are installed. On a developer's machine a test without its programs
/// says so and passes; with `CI=true` it fails, so that nothing is skipped unseen.
pub(crate) fn have(programs: &[&str]) -> bool {
    // As the binary starts them, and confined as there.
    msn_handoff::launch::programs_start_through(env!("CARGO_BIN_EXE_msn-handoff").into());
    let missing: Vec<&str> = programs
        .iter()
        .copied()
        .filter(|program| which::which(program).is_err())
        .collect();
    if missing.is_empty() {
        return true;
    }
    let missing = missing.join(", ");
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{missing} missing: run tests/install"
    );
    eprintln!("SKIPPED: {missing} missing; tests/install installs what the tests need");
    false
}

/// Ports in one block, see [`ports`].
const BLOCK: u16 = 16;

/// The first of 16 ports that were free, even. Below the range from which the system picks ports
/// for others, and no two calls in this process give the same block.
pub(crate) async fn ports() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let blocks = (32_000 - 10_000) / BLOCK;
    let start = u16::try_from(std::process::id() % 1000).unwrap();
    for _ in 0..blocks {
        let block = (start + NEXT.fetch_add(1, Ordering::Relaxed)) % blocks;
        let first = 10_000 + block * BLOCK;
        let mut free = true;
        for port in first..first + BLOCK {
            free &= socket::udp((Ipv4Addr::LOCALHOST, port).into())
                .await
                .is_ok()
                && socket::tcp_listen((Ipv4Addr::LOCALHOST, port).into())
                    .await
                    .is_ok();
        }
        if free {
            return first;
        }
    }
    panic!("no free ports");
}

/// Looks again and again until there is something to see.
pub(crate) async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    within(what, async {
        loop {
            if let Some(seen) = look() {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
}

/// Waits, but not for ever.
pub(crate) async fn within<T>(what: &str, wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, wait)
        .await
        .unwrap_or_else(|_| panic!("{what}: never came"))
}
