//! Any bytes at the port of a conference: the beginning of a T.120 connection.

#![no_main]

use libfuzzer_sys::fuzz_target;
use msn_handoff::adapter::t120::x224;

fuzz_target!(|bytes: &[u8]| {
    let _ = x224::asks_to_confer(bytes);
    if let Some(confirm) = x224::confirm(bytes) {
        assert_eq!(
            confirm[6..8],
            bytes[8..10],
            "the reference is the other side's"
        );
    }
});
