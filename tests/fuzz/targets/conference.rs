//! Any bytes at the ports of NetMeeting: the beginning of an H.323 call and of a T.120 connection.

#![no_main]

use libfuzzer_sys::fuzz_target;
use msn_handoff::adapter::{
    netmeeting::q931::{self, MAX_MESSAGE, TPKT_HEADER},
    t120::x224,
};

fuzz_target!(|bytes: &[u8]| {
    let _ = x224::asks_to_confer(bytes);
    if let Some(confirm) = x224::confirm(bytes) {
        assert_eq!(
            confirm[6..8],
            bytes[8..10],
            "the reference is the other side's"
        );
    }
    let Some((header, rest)) = bytes.split_first_chunk::<TPKT_HEADER>() else {
        return;
    };
    let message = match q931::length(*header) {
        Ok(length) => {
            assert!((TPKT_HEADER..=MAX_MESSAGE).contains(&length));
            &rest[..rest.len().min(length - TPKT_HEADER)]
        }
        Err(_) => rest,
    };
    if let Ok(setup) = q931::read_setup(message) {
        assert!(setup.reference < 0x8000);
        assert!(setup.caller.as_ref().is_none_or(|name| !name.is_empty()));
        let away = q931::release_complete(&setup);
        assert!(q931::read_setup(&away[TPKT_HEADER..]).is_err());
    }
});
