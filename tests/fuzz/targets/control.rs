//! Any line on the control socket: one that is too long is not read; what is read as a request is
//! written and read again as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use msn_handoff::control::protocol::{Greeting, Id, Line, MAX_LINE, Request, line};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = line(bytes.to_vec()) else {
        assert!(bytes.len() > MAX_LINE || std::str::from_utf8(bytes).is_err());
        return;
    };
    assert!(text.len() <= MAX_LINE);
    if let Ok(request) = serde_json::from_str::<Request>(&text) {
        let written = serde_json::to_string(&request).expect("a request");
        assert!(!written.contains('\n'));
        let again: Request = serde_json::from_str(&written).expect("our own words");
        assert_eq!(again.verb, request.verb);
    }
    let _ = serde_json::from_str::<Line>(&text);
    let _ = serde_json::from_str::<Greeting>(&text);
    if let Ok(id) = text.parse::<Id>() {
        assert_eq!(id.to_string().parse::<Id>().ok(), Some(id));
    }
});
