//! Any line of a server's: what names another server is rewritten so that the client comes back to
//! us, every other byte is kept, and one command stays one command. The roster reads it too.

#![no_main]

use libfuzzer_sys::fuzz_target;
use msn_handoff::msnp::{
    frame::{word, words},
    rewrite::{Transfer, read_rng, read_xfr, ring, write_rng, write_xfr},
    roster::Roster,
    text,
};

const PROXY: &str = "127.0.0.1:9";
const CURRENT: &str = "127.0.0.1:8";

fuzz_target!(|bytes: &[u8]| {
    let _ = (text::content_type(bytes), text::chat(bytes));
    let mut roster = Roster::new("ann@example.com");
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let _ = roster.line(line);
        one(line);
    }
    for handle in roster.everybody() {
        let _ = roster.nick(&handle);
    }
});

fn one(line: &[u8]) {
    match read_xfr(line) {
        Some(Transfer::Switchboard { address, .. }) => {
            check_address(&address);
            let written = write_xfr(line, PROXY, CURRENT);
            check(line, &written, &[3]);
            assert_eq!(word(&written, 3), PROXY);
        }
        Some(Transfer::Notification { address }) => {
            check_address(&address);
            let written = write_xfr(line, PROXY, CURRENT);
            check(line, &written, &[3, 5]);
            assert_eq!(word(&written, 3), PROXY);
        }
        Some(Transfer::SameServer) | None => {}
    }
    let Some(read) = read_rng(line) else { return };
    check_address(&read.address);
    let written = write_rng(line, PROXY);
    check(line, &written, &[2]);
    assert_eq!(word(&written, 2), PROXY);
    // One of ours, made of the words of another: still one line. What is not UTF-8 reads as nothing.
    if [&read.session, &read.inviter, &read.nick].iter().any(|word| word.is_empty()) {
        return;
    }
    for version in [2, 13, 18] {
        let made = ring(version, &read);
        assert_eq!(made.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert_eq!(word(&made, 5), read.inviter);
    }
}

/// Only the words at those places differ, and there are as many as before.
fn check(before: &[u8], after: &[u8], places: &[usize]) {
    assert_eq!(words(before).count(), words(after).count());
    for (place, (old, new)) in words(before).zip(words(after)).enumerate() {
        assert!(old == new || places.contains(&place));
    }
    let ends = |line: &[u8]| {
        line.iter()
            .filter(|byte| matches!(byte, b'\n' | b'\r'))
            .count()
    };
    assert_eq!(ends(before), ends(after));
}

/// It has a port, and is one word.
fn check_address(address: &str) {
    let (_, port) = address.rsplit_once(':').unwrap();
    port.parse::<u16>().unwrap();
    assert!(!address.contains([' ', '\r', '\n']));
}
