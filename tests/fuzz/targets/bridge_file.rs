//! Any text as a bridge file, and as one that amends another: read, or told with its place.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use msn_handoff::{
    bridge::{BridgeError, Reading, read_text},
    negotiation::Role,
};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    check(text, read_text(&[(Path::new("a.toml"), text)]));
    // The second half amends the first; they part at the first form feed, which TOML has not.
    if let Some((one, other)) = text.split_once('\x0c') {
        let parts = [(Path::new("a.toml"), one), (Path::new("b.toml"), other)];
        check(text, read_text(&parts));
    }
});

fn check(text: &str, read: Result<Reading, BridgeError>) {
    match read {
        Ok(Reading::Bridge(bridge)) => {
            assert!(!bridge.application.id.is_empty());
            for role in [Role::Inviter, Role::Invitee] {
                let _ = (bridge.adapter(role), bridge.shares(role));
                for handoff in bridge.handoffs(role) {
                    let _ = handoff.program();
                }
            }
        }
        Ok(Reading::Hidden(_)) => {}
        Err(error) => {
            let words = error.to_string();
            assert!(words.contains(".toml"), "{words}");
            if let Some(place) = &error.place {
                assert!(place.line >= 1 && place.column >= 1);
                assert!(place.line <= text.matches('\n').count() + 2, "{words}");
            }
        }
    }
}
