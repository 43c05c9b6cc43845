//! Messages and orders in any order and number, from peers that obey nothing: the engine keeps its
//! promises to the one who drives it.

use std::{collections::BTreeMap, sync::Arc};

use msn_handoff::{
    invitation::{CancelCode, MAX_PAYLOAD},
    negotiation::{Announcement, FailureKind, Input, InvitationId, Limits, Output, Settings},
};
use proptest::prelude::*;

use crate::bench::*;

#[derive(Debug, Clone)]
enum Act {
    Invite(usize, u8),
    Accept(u8),
    Cancel(u8, &'static str),
    Context(u8, String),
    Vector(&'static str),
    WeInvite(usize, u8),
    Order(u8, u64),
    CarrierLost,
    CarrierBack,
    Closing,
    Pass(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let cookie = || 0_u8..4;
    let code = prop::sample::select(vec!["REJECT", "TIMEOUT", "OUTBANDCANCEL", "USER_CANCEL"]);
    let vector = prop::sample::select(vec![
        "O1", "O2", "O6", "F1", "F4", "K1", "K2", "K3", "W4", "Z2", "G1",
    ]);
    let what = || 0..every_application().len();
    prop_oneof![
        1 => (what(), cookie()).prop_map(|(what, cookie)| Act::Invite(what, cookie)),
        1 => cookie().prop_map(Act::Accept),
        1 => (cookie(), code).prop_map(|(cookie, code)| Act::Cancel(cookie, code)),
        1 => (cookie(), "[ -~]{0,400}|192\\.0\\.2\\.1:80").prop_map(|(c, data)| Act::Context(c, data)),
        1 => vector.prop_map(Act::Vector),
        1 => (what(), cookie()).prop_map(|(what, cookie)| Act::WeInvite(what, cookie)),
        6 => (0_u8..12, 1_u64..8).prop_map(|(order, id)| Act::Order(order, id)),
        1 => Just(Act::CarrierLost),
        1 => Just(Act::CarrierBack),
        1 => Just(Act::Closing),
        1 => (0_u64..100).prop_map(Act::Pass),
    ]
}

fn order(order: u8, id: InvitationId) -> Input<'static> {
    match order {
        0 | 1 => Input::Accept(id),
        2 => Input::Decline(id, CancelCode::Reject),
        3 => Input::Failed(id, FailureKind::NotInstalled),
        4 => Input::Failed(id, FailureKind::Failed),
        5 => Input::Running(id),
        6 => Input::ProgramEnded(id),
        7 => Input::HangUp(id),
        8 => Input::SendContext(id, vec![b'x'; 250]),
        9 => Input::Undelivered(id),
        _ => Input::Ready(
            id,
            msn_handoff::negotiation::Announced::new(OURS, Some(1_234)),
        ),
    }
}

/// What came out for one invitation.
#[derive(Default)]
struct Seen {
    begun: bool,
    accepted: bool,
    ready: bool,
    prepared: usize,
    connected: usize,
    ended: usize,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_consent_comes_first_and_everything_once(
        acts in proptest::collection::vec(act(), 0..80)
    ) {
        let limits = Limits { sessions: 6, remembered: 4, ..Limits::default() };
        let mut bench = Bench::with(Settings { limits, ..Settings::default() });
        let mut seen: BTreeMap<InvitationId, Seen> = BTreeMap::new();
        for act in acts {
            let ours = matches!(act, Act::WeInvite(..)).then(|| bench.engine.next_id());
            if let Some(id) = ours {
                let seen = seen.entry(id).or_default();
                (seen.begun, seen.accepted) = (true, true);
            }
            let is_cancel = matches!(act, Act::Cancel(..) | Act::Vector("K3" | "Z2"));
            let outcome = match act {
                Act::Invite(what, cookie) => {
                    bench.receive(&invite(&every_application()[what], &cookie.to_string()))
                }
                Act::Accept(cookie) => bench.receive(&accept(&cookie.to_string())),
                Act::Cancel(cookie, code) => bench.receive(&cancel(&cookie.to_string(), code)),
                Act::Context(cookie, data) => bench.receive(&context(&cookie.to_string(), &data)),
                Act::Vector(name) => bench.receive(&vector(name)),
                Act::WeInvite(what, cookie) => {
                    let application = Arc::clone(&every_application()[what]);
                    bench.invite(application, u32::from(cookie), SESSION)
                }
                Act::Order(number, id) => {
                    let id = InvitationId(id);
                    let entry = seen.entry(id).or_default();
                    match number {
                        0 | 1 => entry.accepted = true,
                        10 | 11 => entry.ready = true,
                        _ => {}
                    }
                    bench.push(order(number, id))
                }
                Act::CarrierLost => bench.push(Input::CarrierLost { peer: PEER }),
                Act::CarrierBack => bench.push(Input::CarrierBack { peer: PEER }),
                Act::Closing => bench.push(Input::Closing { peer: PEER }),
                Act::Pass(time) => bench.pass(seconds(time)),
            };
            if is_cancel {
                prop_assert!(outcome.all_sent().is_empty(), "a CANCEL was answered");
            }
            prop_assert!(bench.engine.sessions().count() <= 6);
            for output in outcome.out {
                match output {
                    Output::Offered { id, .. } => {
                        let seen = seen.entry(id).or_default();
                        prop_assert!(!std::mem::replace(&mut seen.begun, true));
                        // An order for an id that did not exist yet is no consent.
                        (seen.accepted, seen.ready) = (false, false);
                    }
                    Output::Prepare { id, announcement } => {
                        let seen = seen.entry(id).or_default();
                        prop_assert!(seen.accepted && seen.ended == 0);
                        seen.prepared += usize::from(announcement == Announcement::Accept);
                        seen.ready = false;
                    }
                    Output::Send { id, command, payload, .. } => {
                        let seen = seen.entry(id).or_default();
                        prop_assert!(payload.len() <= MAX_PAYLOAD);
                        prop_assert!(command != "ACCEPT" || (seen.accepted && seen.ready));
                        prop_assert!(seen.ended == 0 || command == "CANCEL");
                    }
                    Output::Connected { id, .. } => {
                        let seen = seen.entry(id).or_default();
                        seen.connected += 1;
                        prop_assert!(seen.accepted && seen.prepared == 1 && seen.ended == 0);
                    }
                    Output::Context { id, .. } | Output::PeerLeft { id, .. } => {
                        let seen = seen.entry(id).or_default();
                        prop_assert!(seen.prepared == 1 && seen.ended == 0);
                    }
                    Output::KeepAlive { id, .. } => {
                        prop_assert_eq!(seen.entry(id).or_default().ended, 0);
                    }
                    Output::Ended { id, .. } => {
                        let seen = seen.entry(id).or_default();
                        seen.ended += 1;
                        prop_assert!(seen.begun);
                    }
                }
            }
        }
        for seen in seen.values() {
            prop_assert!(seen.prepared <= 1 && seen.connected <= 1 && seen.ended <= 1);
        }
    }
}
