//! What happens to an invitation, told to whoever listens: the chat window, the log, the demo's
//! ladder and, later, scripts.

use std::time::Duration;

use crate::{
    endpoint::whereabouts::Whereabouts,
    negotiation::{InvitationId, Role},
};

/// One thing that happened to one invitation.
#[derive(Debug, Clone)]
pub struct Event {
    /// The invitation it happened to.
    pub invitation: InvitationId,
    /// Handle of the signed-in user.
    pub account: String,
    /// Handle of the other person.
    pub peer: String,
    /// Id of the bridge.
    pub application: String,
    /// The application's name for people.
    pub name: String,
    /// Which side we are.
    pub role: Role,
    /// What a yes would do, for people: with an offer only.
    pub takes: Option<String>,
    /// What happened.
    pub what: What,
}

/// The kinds of [`Event`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// The peer invites, or we invited the peer.
    Offered,
    /// Somebody or a rule said yes.
    Accepted,
    /// We listen at this address (text for people), and the peer was or will be told so.
    Listening {
        /// `ip:port` or `ip`.
        at: String,
    },
    /// Both addresses are known.
    Connected {
        /// The peer's address as it announced it.
        to: String,
        /// Where that lies, seen from here; nothing when it told none.
        lies: Option<Whereabouts>,
    },
    /// A program was started.
    ProgramStarted {
        /// Its name.
        program: String,
        /// Its process id.
        pid: u32,
    },
    /// Something worth telling the user, in words (a call was answered, a file is being written).
    Progress(String),
    /// A message of the call itself passed: for a picture of it, not for the chat window.
    Signal(Signal),
    /// A program ended.
    ProgramEnded {
        /// Its name.
        program: String,
        /// How, in words.
        how: String,
    },
    /// The invitation is over.
    Ended {
        /// Why, in words.
        reason: String,
        /// How long the hand-over had worked; nothing when it never did.
        lasted: Option<Duration>,
    },
}

/// One message of a call, or its sound beginning to flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// Between the peer and us, or between us and the program.
    pub with: Party,
    /// We sent it.
    pub sent: bool,
    /// SIP, or the media.
    pub kind: SignalKind,
    /// The method, the status or the codec.
    pub text: String,
}

/// Whom a [`Signal`] is exchanged with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// The other person's client.
    Peer,
    /// The program on this machine.
    Program,
}

/// What a [`Signal`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalKind {
    /// A SIP message.
    Sip,
    /// RTP flows.
    Media,
}
