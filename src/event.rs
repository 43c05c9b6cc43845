//! What happens to an invitation, told to whoever listens: the chat window, the log, the demo's
//! ladder and, later, scripts.

use crate::negotiation::{InvitationId, Role};

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
    /// Which side we are.
    pub role: Role,
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
    },
}
