//! Any bytes as what a peer of an H.323 call says: the first octet chooses what they are given to,
//! so that one corpus serves TPKT, Q.931, H.225.0, H.245 and a call as a whole. The messages of
//! `tests/h323/messages.hex` are a first corpus.

#![no_main]

use std::net::{Ipv4Addr, SocketAddrV4};

use libfuzzer_sys::fuzz_target;
use msn_handoff::adapter::h323::{
    call::{Call, Codec, Input, Settings},
    h225::UserInformation,
    h245::Message,
    q931,
    tpkt::{Framer, MAX_MESSAGE},
};

fuzz_target!(|bytes: &[u8]| {
    let Some((&chosen, bytes)) = bytes.split_first() else {
        return;
    };
    match chosen % 5 {
        0 => {
            if let Ok(messages) = Framer::default().push(bytes) {
                assert!(messages.iter().all(|one| one.len() < MAX_MESSAGE));
            }
        }
        1 => {
            let _ = q931::read(bytes);
        }
        2 => {
            let _ = UserInformation::read(bytes);
        }
        3 => {
            let _ = Message::read(bytes);
        }
        _ => call(bytes, chosen),
    }
});

/// A call that gets all of it, half of it before it is answered, in both connections.
fn call(bytes: &[u8], chosen: u8) {
    let at = |port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    let mut call = Call::new(Settings {
        name: "Ann".into(),
        codecs: vec![Codec::Ulaw, Codec::Alaw, Codec::H261, Codec::H263],
        audio: at(5000),
        video: Some(at(5002)),
        only_watches: false,
        control: Some(at(2000)),
        t120: Some(at(1503)),
        fast_start: chosen & 0x40 != 0,
        tunnelling: chosen & 0x80 != 0,
        guid: [7; 16],
        number: 5,
        reference: 1,
    });
    if chosen & 0x20 != 0 {
        call.handle(Input::Call(at(1720)));
    }
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    call.handle(Input::Signal(first));
    call.handle(Input::Answer);
    call.handle(Input::ControlOpen);
    call.handle(Input::Signal(rest));
    call.handle(Input::Control(bytes));
    call.handle(Input::HangUp);
}
