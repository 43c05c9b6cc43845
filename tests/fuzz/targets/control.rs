//! Any line on the control socket: what is read as a request is written and read again as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use msn_handoff::control::protocol::{Greeting, Id, Line, MAX_LINE, Request};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = serde_json::from_slice::<Request>(bytes) {
        let written = serde_json::to_string(&request).expect("a request");
        assert!(!written.contains('\n') && bytes.len() <= MAX_LINE * 8);
        let again: Request = serde_json::from_str(&written).expect("our own words");
        assert_eq!(again.verb, request.verb);
    }
    let _ = serde_json::from_slice::<Line>(bytes);
    let _ = serde_json::from_slice::<Greeting>(bytes);
    if let Ok(id) = std::str::from_utf8(bytes).unwrap_or_default().parse::<Id>() {
        assert_eq!(id.to_string().parse::<Id>().ok(), Some(id));
    }
});
