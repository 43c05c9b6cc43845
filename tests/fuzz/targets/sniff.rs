//! Any first bytes of a connection or a packet: once they are told, more of them tell the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use msn_handoff::media::sniff::{MOST, Seen, tcp, udp};

fuzz_target!(|bytes: &[u8]| {
    let _ = udp(bytes);
    let whole = tcp(bytes);
    assert!(bytes.len() < MOST || !matches!(whole, Seen::NeedMore(_)));
    for length in (0..bytes.len()).step_by(1 + bytes.len() / 64) {
        match tcp(&bytes[..length]) {
            Seen::NeedMore(more) => assert!(more > length),
            decided => assert_eq!(decided, whole, "at {length}"),
        }
    }
});
