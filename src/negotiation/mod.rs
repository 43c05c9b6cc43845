//! The handshake of one invitation, both roles, and a table of them. Pure: no socket, clock or
//! randomness; time, cookies, session ids and invitation ids come in as arguments. Facts:
//! PROTOCOL.md sections 2 to 10.
//!
//! One [`Engine`] per signed-in account. Everything that happens is an [`Input`] pushed into
//! [`Engine::handle`]; everything to be done is an [`Output`] it appends; [`Engine::next_timeout`]
//! says when to push [`Input::Timeout`].
//!
//! ```text
//! invitee                              inviter
//!   INVITE  -> Offered                   Input::Invite -> INVITE goes out
//!   Accept  -> Prepare(Accept)           ACCEPT #1 -> Prepare(Accept)
//!   Ready   -> ACCEPT #1 goes out        Ready     -> ACCEPT #2 goes out
//!   ACCEPT #2 -> Connected               ... -> Connected
//!   [Prepare(Context), Ready -> CONTEXT] [CONTEXT -> Context, Connected]
//!   Running ... Ended                    Running ... Ended
//! ```
//!
//! [`Output::Connected`] comes once per invitation, when the address that matters is known: for the
//! inviter of an application whose invitee sends its address by context message
//! ([`ContextData::Address`]) that is the context message, for everybody else the last ACCEPT.
//!
//! # What is guaranteed
//!
//! Whatever the peer and the carrier do (messages lost, doubled, reordered, delayed):
//!
//! * An address of ours goes out only after [`Input::Ready`].
//! * `Prepare(Accept)`, `Prepare(Context)`, `Connected` and `Ended` come at most once each, `Ended`
//!   last, and exactly once for every id that was `Offered` or given to [`Input::Invite`], unless it
//!   stays running.
//! * A CANCEL is never answered.
//! * Every invitation that does not reach Running ends: each state before it has a deadline
//!   ([`Timers`]). A deadline sends CANCEL.
//! * Two engines: if each adapter reports [`Input::Running`] only when it really has the other side,
//!   both end in Running or neither stays alive, even when every CANCEL is lost. If adapters report
//!   Running as soon as a program runs, an inviter whose ACCEPT #2 *and* the invitee's CANCEL were
//!   lost stays Running until its program ends; in every other case both agree.
//!   `tests/negotiation/pair.rs` shows both.
//! * At most [`Limits::sessions`] invitations are held, and a bounded memory of ended ones.
//!
//! Not guaranteed: that opaque context data arrives complete, once and in order on a line that loses,
//! doubles or reorders. It is told as it comes; a switchboard does none of the three.

mod application;
mod compose;
mod engine;
mod memory;
mod pace;
mod reason;
mod session;
mod timer;

use core::net::Ipv4Addr;
use std::sync::Arc;

pub use application::{
    AddressForm, Application, ContextData, ContextRule, Dialect, Listens, Port, Transport,
};
pub use engine::{Engine, Limits, Settings};
pub use reason::{EndReason, Waiting};
pub use session::State;
pub use timer::Timers;

use crate::invitation::{CancelCode, Candidate, Capabilities, Connection, Medium, Message};

/// Time since an epoch of the caller's choosing; never goes back.
pub type Now = core::time::Duration;

/// Names one invitation within this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InvitationId(pub u64);

/// Which side of an invitation we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// We invited.
    Inviter,
    /// We were invited.
    Invitee,
}

impl Role {
    /// The peer's role.
    pub fn other(self) -> Self {
        match self {
            Self::Inviter => Self::Invitee,
            Self::Invitee => Self::Inviter,
        }
    }
}

/// Which message is about to carry an address of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announcement {
    /// ACCEPT, the first or the second, as our role says.
    Accept,
    /// The context message (PROTOCOL.md 5.5).
    Context,
}

/// The address of ours that goes into the next message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announced {
    /// Address.
    pub ip: Ipv4Addr,
    /// Port, where the application's address form has one.
    pub port: Option<u16>,
    /// The `Conn-Type` block of an application that has one; `None` means `Direct-Connect`.
    pub connection: Option<Connection>,
}

impl Announced {
    /// An address without `Conn-Type` block.
    pub fn new(ip: Ipv4Addr, port: Option<u16>) -> Self {
        Self {
            ip,
            port,
            connection: None,
        }
    }
}

/// Where the peer says it is.
#[derive(Debug, Clone, Default)]
pub struct Remote {
    /// Candidates in the order of PROTOCOL.md section 3 rule 4; an address from a context message
    /// stands first.
    pub candidates: Vec<Candidate>,
    /// The media both sides named (voice and video; empty elsewhere).
    pub media: Vec<Medium>,
    /// The peer's `Conn-Type` block.
    pub connection: Option<Connection>,
}

impl Remote {
    /// Its addresses, each with the port that was told with it.
    pub fn told(&self) -> impl Iterator<Item = (Ipv4Addr, Option<u16>)> + '_ {
        let candidates = self.candidates.iter();
        candidates.map(|candidate| (candidate.ip, candidate.port))
    }

    /// The first candidate as text for people.
    pub fn describe(&self) -> String {
        match self.candidates.first() {
            Some(Candidate {
                ip,
                port: Some(port),
                ..
            }) => format!("{ip}:{port}"),
            Some(Candidate { ip, .. }) => ip.to_string(),
            None => "an address it did not tell".to_owned(),
        }
    }
}

/// What the caller's registry says about the GUID of an INVITE.
#[derive(Debug, Clone)]
pub enum Treatment {
    /// Negotiate it.
    Negotiate(Arc<Application>),
    /// Known, but nothing here can run it: answer `REJECT_NOT_INSTALLED`.
    RefuseNotInstalled,
}

/// Why an adapter cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// No program of the bridge's list can run here.
    NotInstalled,
    /// It could, but it went wrong.
    Failed,
}

/// One thing that happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// An invitation message came from `peer`, in whatever switchboard.
    Received {
        /// Handle of the sender; a `;{machine-guid}` suffix and letter case do not matter.
        peer: &'a str,
        /// The message.
        message: &'a Message<'a>,
        /// For an INVITE: what its GUID means here. `None`: nothing of ours.
        application: Option<Treatment>,
    },
    /// We invite. The invitation gets the id that [`Engine::next_id`] said before.
    Invite {
        /// What for.
        application: Arc<Application>,
        /// Whom.
        peer: String,
        /// `Invitation-Cookie`, 1 to 999 999, unpredictable.
        cookie: u32,
        /// `Session-ID`, a fresh `{GUID}`. Not sent in the legacy dialect.
        session_id: String,
        /// What is asked for; `None` means all of [`Application::media`].
        capabilities: Option<Capabilities>,
        /// The `Conn-Type` block; `None` means `Direct-Connect`. Only sent where
        /// [`Application::connection`] says so.
        connection: Option<Connection>,
    },
    /// Somebody or a rule said yes to an offer.
    Accept(InvitationId),
    /// Somebody or a rule said no.
    Decline(InvitationId, CancelCode),
    /// Answers [`Output::Prepare`]: we listen here (or this is our address, where nobody listens).
    Ready(InvitationId, Announced),
    /// The adapter cannot go on; also an answer to [`Output::Prepare`].
    Failed(InvitationId, FailureKind),
    /// The call is up, the program has the session. From here on only a program's end, a hang-up or
    /// the peer ends it. Told before `Connected` it is remembered until then.
    Running(InvitationId),
    /// The program is gone, the hand-over is over.
    ProgramEnded(InvitationId),
    /// The user wants it over.
    HangUp(InvitationId),
    /// The program's own context data for the peer. Held back until the handshake is complete; at
    /// most [`Limits::contexts`] messages of 300 characters per invitation (PROTOCOL.md 1.4),
    /// anything beyond ends it.
    SendContext(InvitationId, Vec<u8>),
    /// The last switchboard with `peer` is gone (BYE, connection lost). Another may open: what
    /// waits for the peer has [`Timers::carrier_grace`] to hear from it again.
    CarrierLost {
        /// Handle of the peer.
        peer: &'a str,
    },
    /// `peer` came into a switchboard: what the loss of another began is called off.
    CarrierBack {
        /// Handle of the peer.
        peer: &'a str,
    },
    /// Our side leaves `peer` for good and can still send: what is not connected yet is cancelled
    /// with `OUTBANDCANCEL` (PROTOCOL.md 5.2).
    Closing {
        /// Handle of the peer.
        peer: &'a str,
    },
    /// The last message of this invitation did not reach the peer (`NAK`, offline, no switchboard).
    Undelivered(InvitationId),
    /// [`Engine::next_timeout`] has come.
    Timeout,
}

/// Whose message it was. Only meaningful for [`Input::Received`]; elsewhere it says whether the id
/// or the peer was known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Disposition {
    /// Ours: the client must not see it.
    Taken,
    /// Not ours: the client gets it untouched.
    NotOurs,
}

/// An invitation somebody may answer.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Handle of the inviter, as the server spells it, without machine GUID.
    pub peer: String,
    /// What it is for.
    pub application: Arc<Application>,
    /// `Application-Name` as the inviter spells it: localised, of the peer's choosing.
    pub name: Option<String>,
    /// `Application-URL`, of the peer's choosing: to be shown at most, never opened by itself.
    pub url: Option<String>,
    /// What the inviter asked for and can do (voice and video).
    pub capabilities: Option<Capabilities>,
    /// Addresses the INVITE already carried.
    pub candidates: Vec<Candidate>,
    /// The inviter's `Conn-Type` block.
    pub connection: Option<Connection>,
    /// The inviter's cookie, verbatim.
    pub cookie: String,
    /// The inviter's `Session-ID`, verbatim.
    pub session_id: Option<String>,
}

impl Offer {
    /// The media of the offer that we can take ([`Application::agreed_media`]).
    pub fn media(&self) -> Vec<Medium> {
        let asked = self
            .capabilities
            .as_ref()
            .map(|asked| asked.requested.as_slice());
        self.application.agreed_media(asked)
    }
}

/// One thing to do.
#[derive(Debug, Clone)]
pub enum Output {
    /// Bring `payload` to `peer`, over any switchboard with exactly that peer.
    Send {
        /// Whose message it is.
        id: InvitationId,
        /// Handle of the peer.
        peer: String,
        /// `INVITE`, `ACCEPT`, `CANCEL` or `CONTEXT`, for logs.
        command: &'static str,
        /// MIME header and body.
        payload: Vec<u8>,
    },
    /// Ask whether to accept; answered by [`Input::Accept`] or [`Input::Decline`].
    Offered {
        /// Its id from now on.
        id: InvitationId,
        /// What is offered.
        offer: Offer,
    },
    /// Say where we listen; answered by [`Input::Ready`] or [`Input::Failed`].
    /// [`Application::must_listen`] says whether listening is needed or an address is enough.
    Prepare {
        /// Which invitation.
        id: InvitationId,
        /// Which message waits for it.
        announcement: Announcement,
    },
    /// The handshake is complete and the address that matters is known: hand over.
    Connected {
        /// Which invitation.
        id: InvitationId,
        /// Where the peer is.
        remote: Remote,
    },
    /// Context data came. Never before `Connected`, except to an inviter that waits for an address
    /// in it: there `Context` comes first and `Connected`, with the address, right after.
    Context {
        /// Which invitation.
        id: InvitationId,
        /// The data, verbatim.
        data: Vec<u8>,
    },
    /// The peer sent a CANCEL that must not end a running hand-over by itself. Nothing will be sent
    /// to the peer any more.
    PeerLeft {
        /// Which invitation.
        id: InvitationId,
        /// Its code.
        code: Option<CancelCode>,
    },
    /// A message that keeps an open switchboard open is due (PROTOCOL.md section 8). It must not
    /// open one.
    KeepAlive {
        /// Which invitation.
        id: InvitationId,
        /// Handle of the peer.
        peer: String,
    },
    /// It is over: the last output for this id, but for a CANCEL that is sent once more.
    Ended {
        /// Which invitation.
        id: InvitationId,
        /// Why.
        reason: EndReason,
    },
}

/// One invitation in the table, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its id.
    pub id: InvitationId,
    /// Handle of the peer.
    pub peer: String,
    /// Which side we are.
    pub role: Role,
    /// Id of the application.
    pub application: String,
    /// Where it stands.
    pub state: State,
    /// Since when it is in that state.
    pub since: Now,
}
