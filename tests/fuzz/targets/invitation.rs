//! Any bytes as a payload and as a body: read, decoded, and rewritten. The vectors in
//! `tests/vectors` are a good first corpus.

#![no_main]

use libfuzzer_sys::fuzz_target;
use msn_handoff::{
    cli::decode,
    invitation::{Message, ReadError},
};

fuzz_target!(|bytes: &[u8]| {
    let _ = decode::run(bytes, false);
    let _ = decode::run(bytes, true);
    check(bytes, |bytes| Message::read(bytes));
    check(bytes, |bytes| Message::read_body(bytes));
});

/// What is read can be read again after one value was replaced.
fn check(bytes: &[u8], read: impl for<'a> Fn(&'a [u8]) -> Result<Message<'a>, ReadError>) {
    let Ok(message) = read(bytes) else { return };
    let _ = (
        message.addresses(),
        message.capabilities(),
        message.connection(),
        message.application_guid(),
        message.application_file(),
        message.cancel_code(),
    );
    if let Ok(out) = message.with_field("IP-Address", b"192.0.2.1:5060") {
        let again = read(&out);
        assert!(again.is_ok_and(|again| again.get("IP-Address") == Some(b"192.0.2.1:5060")));
    }
}
