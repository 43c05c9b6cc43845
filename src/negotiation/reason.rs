//! Why an invitation ended, in words people understand.

use core::fmt;

use crate::invitation::CancelCode;

/// What a deadline waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Waiting {
    /// For our user to answer an offer.
    User,
    /// For the peer to answer our INVITE.
    Answer,
    /// For our program or adapter to say where it listens.
    Ready,
    /// For the inviter's ACCEPT.
    SecondAccept,
    /// For the context message with the peer's address.
    Context,
    /// For the hand-over to begin after the handshake.
    Start,
}

/// Why an invitation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndReason {
    /// We said no.
    DeclinedHere,
    /// The peer said no.
    DeclinedThere,
    /// No program here.
    NotInstalledHere,
    /// The peer has nothing for it.
    NotInstalledThere,
    /// A deadline passed.
    TimedOut(Waiting),
    /// The peer cancelled.
    CancelledThere(Option<CancelCode>),
    /// Our user ended it.
    HungUp,
    /// Our program ended.
    ProgramEnded,
    /// Our adapter or program failed, before or after the handshake.
    ProgramFailed,
    /// No way to the peer any more.
    CarrierLost,
    /// A message could not be written. The text is for people and holds nothing of the peer's.
    Failed(String),
    /// The negotiation did what it was for and is over (Remote Assistance). What was handed over
    /// lives on.
    Completed,
    /// The peer sent another invitation in its place.
    Replaced,
    /// Too many invitations at once.
    TooMany,
    /// The cookie is already in use with that peer.
    CookieInUse,
}

impl EndReason {
    /// Whether what was handed over must be left alone. True for [`EndReason::Completed`] only.
    pub fn leaves_program_running(&self) -> bool {
        matches!(self, Self::Completed)
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "nobody answered here",
            Self::Answer => "the contact did not answer",
            Self::Ready => "the program was not ready in time",
            Self::SecondAccept => "the contact did not complete the invitation",
            Self::Context => "the contact did not say where it listens",
            Self::Start => "nothing came of it after the invitation was complete",
        })
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DeclinedHere => f.write_str("declined"),
            Self::DeclinedThere => f.write_str("the contact declined"),
            Self::NotInstalledHere => f.write_str("no program for it is installed here"),
            Self::NotInstalledThere => f.write_str("the contact has no program for it"),
            Self::TimedOut(waiting) => waiting.fmt(f),
            Self::CancelledThere(Some(CancelCode::Timeout)) => {
                f.write_str("the contact cancelled or stopped waiting")
            }
            Self::CancelledThere(_) => f.write_str("the contact cancelled"),
            Self::HungUp => f.write_str("ended here"),
            Self::ProgramEnded => f.write_str("the program ended"),
            Self::ProgramFailed => f.write_str("the program failed"),
            Self::CarrierLost => f.write_str("the conversation with the contact is gone"),
            Self::Failed(why) => f.write_str(why),
            Self::Completed => f.write_str("completed"),
            Self::Replaced => f.write_str("replaced by a newer invitation"),
            Self::TooMany => f.write_str("too many invitations at once"),
            Self::CookieInUse => f.write_str("the invitation number is already in use"),
        }
    }
}
