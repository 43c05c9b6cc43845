//! The negotiation, driven by any events in any order, of two contacts, both roles, any clock:
//!
//! * nothing is prepared or handed over without consent, nor before the adapter was ready;
//! * one invitation is handed over once at most, and ended once;
//! * an address goes out only after an adapter said that it listens there, and it is that address;
//! * every invitation ends, by itself or, when it runs, when it is told to.

#![no_main]

mod bench;

use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc};

use bench::{APPLICATIONS, PEERS, applications, message};
use libfuzzer_sys::{arbitrary::Unstructured, fuzz_target};
use msn_handoff::{
    invitation::{CancelCode, MAX_PAYLOAD, Message},
    negotiation::{
        Announced, Announcement, Application, Engine, FailureKind, Input, InvitationId, Limits,
        Now, Output, Settings, State, Treatment,
    },
};

const OURS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
const SESSION: &str = "{C4E9035F-CCEB-40F0-8F17-135FB734073B}";

fuzz_target!(|bytes: &[u8]| {
    let mut drive = Drive::new();
    let _ = drive.acts(&mut Unstructured::new(bytes));
    drive.end();
});

/// What is known of one invitation.
#[derive(Default)]
struct Seen {
    consented: bool,
    /// The last port that its adapter told.
    port: Option<u16>,
    asked_for_port: bool,
    prepared: usize,
    connected: usize,
    ended: usize,
}

struct Drive {
    engine: Engine,
    applications: Vec<Arc<Application>>,
    now: Now,
    next_port: u16,
    seen: BTreeMap<InvitationId, Seen>,
}

impl Drive {
    fn new() -> Self {
        let limits = Limits {
            sessions: 12,
            remembered: 6,
            ..Limits::default()
        };
        let settings = Settings {
            limits,
            ..Settings::default()
        };
        Self {
            engine: Engine::new(settings, InvitationId(1)),
            applications: applications(),
            now: Now::from_secs(1_000),
            next_port: 2_000,
            seen: BTreeMap::new(),
        }
    }

    fn acts(&mut self, choices: &mut Unstructured<'_>) -> Option<()> {
        while !choices.is_empty() {
            self.act(choices)?;
        }
        Some(())
    }

    fn act(&mut self, choices: &mut Unstructured<'_>) -> Option<()> {
        let peer = *choices.choose(&PEERS).ok()?;
        match choices.int_in_range(0..=15_u8).ok()? {
            0..=5 => {
                let payload = message(choices)?;
                let Ok(message) = Message::read(&payload) else {
                    return Some(());
                };
                let guid = message.application_guid();
                let known = self
                    .applications
                    .iter()
                    .find(|one| guid.as_ref().is_some_and(|guid| one.guids.contains(guid)));
                let application = known.map(|one| Treatment::Negotiate(Arc::clone(one)));
                let application = match choices.int_in_range(0..=15_u8).ok()? {
                    0 => Some(Treatment::RefuseNotInstalled),
                    1 => None,
                    _ => application,
                };
                let message = &message;
                let is_cancel = message.cancel_code().is_some()
                    && matches!(message.command(), msn_handoff::invitation::Command::Cancel);
                let sent = self.push(Input::Received {
                    peer,
                    message,
                    application,
                });
                assert!(!is_cancel || sent == 0, "a CANCEL was answered");
            }
            6 => {
                let which = choices.int_in_range(0..=APPLICATIONS - 1).ok()?;
                let id = self.engine.next_id();
                // Who invites consents.
                self.seen.insert(
                    id,
                    Seen {
                        consented: true,
                        ..Seen::default()
                    },
                );
                let application = Arc::clone(&self.applications[which]);
                let cookie = choices.int_in_range(1..=3).ok()?;
                self.push(Input::Invite {
                    application,
                    peer: peer.to_owned(),
                    cookie,
                    session_id: SESSION.to_owned(),
                    capabilities: None,
                    connection: None,
                });
            }
            7..=12 => self.order(choices)?,
            13 => {
                self.push(match choices.int_in_range(0..=2_u8).ok()? {
                    0 => Input::CarrierLost { peer },
                    1 => Input::CarrierBack { peer },
                    _ => Input::Closing { peer },
                });
            }
            _ => {
                let until = self.now + Now::from_millis(choices.int_in_range(0..=90_000).ok()?);
                while let Some(at) = self.engine.next_timeout().filter(|at| *at <= until) {
                    self.now = self.now.max(at);
                    self.push(Input::Timeout);
                }
                self.now = until;
            }
        }
        Some(())
    }

    /// An order about one of the last invitations, or about one that there is not yet.
    fn order(&mut self, choices: &mut Unstructured<'_>) -> Option<()> {
        let back = choices.int_in_range(0..=6).ok()?;
        let id = InvitationId((self.engine.next_id().0 + 1).saturating_sub(back));
        let input = match choices.int_in_range(0..=12_u8).ok()? {
            0..=2 => {
                if let Some(seen) = self.seen.get_mut(&id) {
                    seen.consented = true;
                }
                Input::Accept(id)
            }
            3 => Input::Decline(id, CancelCode::Reject),
            4 => Input::Failed(id, FailureKind::NotInstalled),
            5 => Input::Failed(id, FailureKind::Failed),
            6 => Input::Running(id),
            7 => Input::ProgramEnded(id),
            8 => Input::HangUp(id),
            9 => Input::SendContext(id, choices.arbitrary::<&[u8]>().ok()?.to_vec()),
            10 => Input::Undelivered(id),
            _ => {
                self.next_port = self.next_port.checked_add(1)?;
                if let Some(seen) = self.seen.get_mut(&id).filter(|seen| seen.asked_for_port) {
                    (seen.port, seen.asked_for_port) = (Some(self.next_port), false);
                }
                Input::Ready(id, Announced::new(OURS, Some(self.next_port)))
            }
        };
        self.push(input);
        Some(())
    }

    /// Lets everything ring, then ends what runs.
    fn end(&mut self) {
        for _ in 0..10_000 {
            let Some(at) = self.engine.next_timeout() else {
                break;
            };
            self.now = self.now.max(at);
            self.push(Input::Timeout);
        }
        let left: Vec<_> = self
            .engine
            .sessions()
            .map(|one| (one.id, one.state))
            .collect();
        for (id, state) in left {
            assert_eq!(state, State::Running, "{id:?} does not end");
            self.push(Input::HangUp(id));
        }
        assert_eq!(self.engine.sessions().count(), 0);
        assert_eq!(self.engine.next_timeout(), None);
        for (id, seen) in &self.seen {
            assert_eq!(seen.ended, 1, "{id:?}");
        }
    }

    /// Pushes and checks; how many messages went out.
    fn push(&mut self, input: Input<'_>) -> usize {
        let mut out = Vec::new();
        let _ = self.engine.handle(input, self.now, &mut out);
        assert!(self.engine.sessions().count() <= 12);
        let mut sent = 0;
        for output in out {
            sent += usize::from(matches!(output, Output::Send { .. }));
            self.check(output);
        }
        sent
    }

    fn check(&mut self, output: Output) {
        match output {
            Output::Offered { id, .. } => {
                assert!(
                    self.seen.insert(id, Seen::default()).is_none(),
                    "{id:?} twice"
                );
            }
            Output::Prepare { id, announcement } => {
                let seen = self.alive(id);
                assert!(seen.consented, "prepared without consent");
                seen.prepared += usize::from(announcement == Announcement::Accept);
                assert!(seen.prepared <= 1);
                (seen.asked_for_port, seen.port) = (true, None);
            }
            Output::Connected { id, .. } => {
                let seen = self.alive(id);
                seen.connected += 1;
                assert!(seen.consented && seen.prepared == 1 && seen.connected == 1);
            }
            Output::Context { id, .. } | Output::PeerLeft { id, .. } => {
                assert_eq!(self.alive(id).prepared, 1);
            }
            Output::KeepAlive { id, .. } => {
                let _ = self.alive(id);
            }
            Output::Ended { id, .. } => self.alive(id).ended += 1,
            Output::Send {
                id,
                command,
                payload,
                ..
            } => {
                assert!(payload.len() <= MAX_PAYLOAD);
                let message = Message::read(&payload).expect("our own message");
                // A refusal has no invitation of ours.
                let Some(seen) = self.seen.get(&id) else {
                    assert_eq!(command, "CANCEL");
                    return;
                };
                assert!(seen.ended == 0 || command == "CANCEL");
                assert!(command != "ACCEPT" || (seen.consented && seen.prepared == 1));
                if command == "ACCEPT"
                    && let Some((ip, port)) = message.ip_address()
                {
                    let told = seen.port.expect("announced before anybody listens");
                    assert_eq!(ip, OURS);
                    assert!(port.is_none_or(|port| port == told), "{port:?} {told}");
                }
            }
        }
    }

    /// An invitation that was begun and has not ended.
    fn alive(&mut self, id: InvitationId) -> &mut Seen {
        let seen = self.seen.get_mut(&id).expect("one that was begun");
        assert_eq!(seen.ended, 0, "{id:?} had ended");
        seen
    }
}
