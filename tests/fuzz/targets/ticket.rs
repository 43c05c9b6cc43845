//! Any bytes as the context messages of a Remote Assistance session: read whole and in two
//! messages. `R4.msg` of `tests/vectors` holds one for a first corpus.

#![no_main]

use libfuzzer_sys::fuzz_target;
use msn_handoff::adapter::remote_assistance::ticket::{MAX_ADDRESSES, Messages, Reading};

fuzz_target!(|bytes: &[u8]| {
    let mut whole = Messages::default();
    whole.push(bytes);
    let reading = whole.read();
    if let Reading::Ticket { ticket, .. } = &reading {
        assert!(ticket.addresses().len() <= MAX_ADDRESSES);
    }
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let mut cut = Messages::default();
    cut.push(first);
    let _ = cut.read();
    cut.push(second);
    assert_eq!(cut.read(), reading);
});
