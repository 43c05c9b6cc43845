//! The negotiation, driven by any events in any order, of two contacts, both roles, any clock:
//!
//! * nothing is prepared or handed over without consent, nor before the adapter was ready;
//! * one invitation is handed over once at most, and ended once;
//! * an address goes out only after an adapter said that it listens there, and it is that address;
//! * every invitation ends, by itself or, when it runs, when it is told to.

#![no_main]

mod bench;
mod ledger;

use std::sync::Arc;

use bench::{APPLICATIONS, PEERS, applications, message};
use ledger::{Ledger, OURS, Seen};
use libfuzzer_sys::{arbitrary::Unstructured, fuzz_target};
use msn_handoff::{
    invitation::{CancelCode, Message},
    negotiation::{
        Announced, Application, Engine, FailureKind, Input, InvitationId, Limits, Now, Output,
        Settings, State, Treatment,
    },
};

const SESSION: &str = "{C4E9035F-CCEB-40F0-8F17-135FB734073B}";

fuzz_target!(|bytes: &[u8]| {
    let mut drive = Drive::new();
    let _ = drive.acts(&mut Unstructured::new(bytes));
    drive.end();
});

struct Drive {
    engine: Engine,
    applications: Vec<Arc<Application>>,
    now: Now,
    next_port: u16,
    ledger: Ledger,
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
            ledger: Ledger::default(),
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
                self.ledger.0.insert(
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
                if let Some(seen) = self.ledger.0.get_mut(&id) {
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
            9 => {
                let data = choices.arbitrary::<&[u8]>().ok()?.to_vec();
                if let Some(seen) = self.ledger.0.get_mut(&id) {
                    seen.told.push(data.clone());
                }
                Input::SendContext(id, data)
            }
            10 => Input::Undelivered(id),
            _ => {
                self.next_port = self.next_port.checked_add(1)?;
                if let Some(seen) = self
                    .ledger
                    .0
                    .get_mut(&id)
                    .filter(|seen| seen.asked_for_port)
                {
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
        for (id, seen) in &self.ledger.0 {
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
            self.ledger.check(output);
        }
        sent
    }
}
