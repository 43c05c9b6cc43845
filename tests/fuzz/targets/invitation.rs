//! Any bytes as a payload and as a body: read, decoded, and rewritten. The vectors in
//! `tests/vectors` are a good first corpus.

#![no_main]

use libfuzzer_sys::fuzz_target;
use msn_handoff::{cli::decode, invitation::Message};

fuzz_target!(|bytes: &[u8]| {
    let _ = decode::run(bytes, false);
    let _ = decode::run(bytes, true);
    for read in [Message::read, Message::read_body] {
        let Ok(message) = read(bytes) else { continue };
        let _ = (
            message.addresses(),
            message.capabilities(),
            message.connection(),
        );
        let _ = (
            message.application_guid(),
            message.application_file(),
            message.cancel_code(),
        );
        if let Ok(out) = message.with_field("IP-Address", b"192.0.2.1:5060") {
            let again = read(&out);
            assert!(again.is_ok_and(|again| again.get("IP-Address") == Some(b"192.0.2.1:5060")));
        }
    }
});
