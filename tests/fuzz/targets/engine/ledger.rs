//! What has come out so far, and whether what comes out next may.

use std::{collections::BTreeMap, net::Ipv4Addr};

use msn_handoff::{
    invitation::{MAX_PAYLOAD, Message, read_address},
    negotiation::{Announcement, InvitationId, Output},
};

pub(crate) const OURS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);

/// What is known of one invitation.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) consented: bool,
    /// The last port that its adapter told.
    pub(crate) port: Option<u16>,
    pub(crate) asked_for_port: bool,
    /// What its program has told, to go out as context data.
    pub(crate) told: Vec<Vec<u8>>,
    pub(crate) prepared: usize,
    pub(crate) connected: usize,
    pub(crate) ended: usize,
}

impl Seen {
    /// An address that goes out is the one that the adapter has told.
    fn is_listened_at(&self, (ip, port): (Ipv4Addr, Option<u16>)) {
        let told = self.port.expect("announced before anybody listens");
        assert_eq!(ip, OURS);
        assert!(port.is_none_or(|port| port == told), "{port:?} {told}");
    }

    /// Whether it is a part of what the program told. What reads a message trims its values.
    fn has_told(&self, part: &[u8]) -> bool {
        let holds = |whole: &Vec<u8>| {
            part.is_empty() || whole.windows(part.len()).any(|window| window == part)
        };
        self.told.iter().any(holds)
    }
}

/// Every invitation there was.
#[derive(Default)]
pub(crate) struct Ledger(pub(crate) BTreeMap<InvitationId, Seen>);

impl Ledger {
    pub(crate) fn check(&mut self, output: Output) {
        match output {
            Output::Offered { id, .. } => {
                assert!(self.0.insert(id, Seen::default()).is_none(), "{id:?} twice");
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
                let Some(seen) = self.0.get(&id) else {
                    assert_eq!(command, "CANCEL");
                    return;
                };
                assert!(seen.ended == 0 || command == "CANCEL");
                assert!(command != "ACCEPT" || (seen.consented && seen.prepared == 1));
                match command {
                    "ACCEPT" => {
                        for address in message.addresses() {
                            seen.is_listened_at((address.ip, address.port));
                        }
                    }
                    // The program's words, or else the address that is listened at.
                    "CONTEXT" => {
                        let data = message.get("Context-Data").unwrap_or_default();
                        if !seen.has_told(data) {
                            let address = read_address(data).expect("nobody has told that");
                            assert!(address.1.is_some(), "an address without a port");
                            seen.is_listened_at(address);
                        }
                    }
                    _ => assert!(message.addresses().is_empty(), "an address in {command}"),
                }
            }
        }
    }

    /// An invitation that was begun and has not ended.
    fn alive(&mut self, id: InvitationId) -> &mut Seen {
        let seen = self.0.get_mut(&id).expect("one that was begun");
        assert_eq!(seen.ended, 0, "{id:?} had ended");
        seen
    }
}
