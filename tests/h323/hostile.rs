//! What a peer that means harm, or is broken, says: nothing panics, grows, or goes on for ever.

use msn_handoff::adapter::h323::{
    call::{Call, Ended, Input, MAX_HEARD, MAX_UNREAD, Output, Settings},
    h225::{Body, UserInformation},
    h245::Message,
    q931, tpkt,
};
use proptest::prelude::*;

use crate::{
    encoded::bytes,
    two::{Two, called, caller},
};

/// One message of call signalling that has that message of H.245 in it, so many times.
fn tunnelled(message: &[u8], times: usize) -> Vec<u8> {
    let mut user = UserInformation::of(Body::Empty(()));
    user.pdu.h245_tunnelling = Some(true);
    user.pdu.h245_control = Some(vec![message.to_vec().into(); times]);
    let message = q931::Message {
        kind: q931::kind::FACILITY,
        reference: 0x1234,
        of_called: false,
        name: None,
        cause: None,
        user: Some(user.write().unwrap()),
    };
    tpkt::framed(&q931::write(&message)).unwrap()
}

/// A call that was taken, with H.245 in call signalling.
fn through_a_tunnel() -> Call {
    let tunnelling = |settings| Settings {
        tunnelling: true,
        ..settings
    };
    let mut two = Two::new(tunnelling(caller()), tunnelling(called()));
    two.talk();
    two.called
}

const SIGNALS: [&str; 7] = [
    "setup",
    "proceeding",
    "alerting",
    "connect",
    "release",
    "facility",
    "empty",
];
const CONTROLS: [&str; 8] = [
    "capabilities",
    "determination",
    "decision",
    "open",
    "open-video",
    "open-data",
    "opened",
    "close",
];

/// A message with some octets changed, and cut.
fn changed(message: Vec<u8>, changes: &[(usize, u8)], cut: usize) -> Vec<u8> {
    let mut message = message;
    let length = message.len();
    for (at, octet) in changes {
        message[at % length] ^= octet;
    }
    message.truncate(length - cut % length);
    message
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = UserInformation::read(&bytes);
        let _ = Message::read(&bytes);
    }

    #[test]
    fn broken_messages_are_read_or_refused(
        which in 0..7usize,
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..6),
        cut in 0..40usize,
    ) {
        let _ = UserInformation::read(&changed(bytes(SIGNALS[which]), &changes, cut));
        let _ = Message::read(&changed(bytes(CONTROLS[which]), &changes, cut));
    }

    #[test]
    fn a_call_bears_a_broken_peer(
        fast in any::<bool>(),
        tunnelling in any::<bool>(),
        changes in proptest::collection::vec((any::<usize>(), 0..20u8), 1..8),
        at in 0..6usize,
    ) {
        // What was said in a good call, one message of it broken, said again to a new one.
        let mut settings = (caller(), called());
        for one in [&mut settings.0, &mut settings.1] {
            one.fast_start = fast;
            one.tunnelling = tunnelling;
        }
        let mut good = Two::new(settings.0.clone(), settings.1.clone());
        good.talk();
        let of_caller: Vec<_> = good.of_caller.iter().filter_map(|one| match one {
            Output::Signal(bytes) => Some((true, bytes.clone())),
            Output::Control(bytes) => Some((false, bytes.clone())),
            _ => None,
        }).collect();
        let mut call = Call::new(settings.1);
        for (number, (signal, bytes)) in of_caller.into_iter().enumerate() {
            let mut bytes = bytes;
            if number == at {
                let message = changed(bytes[tpkt::HEADER..].to_vec(), &changes, 0);
                bytes = tpkt::framed(&message).unwrap();
            }
            let out = call.handle(if signal { Input::Signal(&bytes) } else { Input::Control(&bytes) });
            prop_assert!(out.len() < 40);
            if out.iter().any(|one| matches!(one, Output::Incoming(_))) {
                call.handle(Input::Answer);
                call.handle(Input::ControlOpen);
            }
        }
    }
}

#[test]
fn who_says_nothing_readable_is_left() {
    let mut call = Call::new(called());
    let nonsense = tpkt::framed(b"nonsense").unwrap();
    let mut out = Vec::new();
    for _ in 0..=MAX_UNREAD + 1 {
        out.extend(call.handle(Input::Signal(&nonsense)));
    }
    assert_eq!(out, [Output::Ended(Ended::Unreadable)]);
    assert!(call.handle(Input::Signal(&nonsense)).is_empty());
    let mut call = Call::new(called());
    assert_eq!(
        call.handle(Input::Signal(b"GET / HTTP/1.0")),
        [Output::Ended(Ended::Unreadable)]
    );
}

#[test]
fn a_list_that_counts_more_than_there_is_costs_nothing() {
    // fastStart that says to have 64K elements, and the like, over and over.
    let mut bomb = bytes("setup");
    bomb.extend([0xc4; 4000]);
    let _ = UserInformation::read(&bomb);
    for octet in 0..=255u8 {
        let _ = UserInformation::read(&[octet; tpkt::MAX_MESSAGE]);
        let _ = Message::read(&[octet; tpkt::MAX_MESSAGE]);
    }
    assert!(Message::read(&[0; tpkt::MAX_MESSAGE + 1]).is_err());
}

#[test]
fn what_cannot_be_read_is_counted_in_a_tunnel_as_well() {
    let mut call = through_a_tunnel();
    assert!(Message::read(&[]).is_err());
    let times = usize::try_from(MAX_UNREAD).unwrap() + 2;
    let out = call.handle(Input::Signal(&tunnelled(&[], times)));
    assert_eq!(out.last(), Some(&Output::Ended(Ended::Unreadable)));
}

#[test]
fn what_is_said_in_a_tunnel_is_counted_one_by_one() {
    let mut call = through_a_tunnel();
    let many = 1_000_u32;
    let round_trips = tunnelled(&bytes("round-trip"), 1_000);
    assert!(round_trips.len() <= tpkt::MAX_MESSAGE);
    let mut said = 0;
    while !call.over() {
        call.handle(Input::Signal(&round_trips));
        said += many;
        assert!(said <= MAX_HEARD, "it goes on for ever");
    }
}
