//! What follows from what happens to a call.

use std::net::SocketAddrV4;

use super::{Codec, Medium};

/// What follows from it, in that order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// Bytes for call signalling.
    Signal(Vec<u8>),
    /// Bytes for H.245.
    Control(Vec<u8>),
    /// Connect for H.245 to there. Not yet checked.
    Connect(SocketAddrV4),
    /// Somebody calls, who says to be called that. Answer, or hang up.
    Incoming(Option<String>),
    /// It rings there.
    Ringing,
    /// The call is taken.
    Connected,
    /// The peer wants that medium so, there. Not yet checked.
    Send {
        /// As what.
        codec: Codec,
        /// Where to.
        to: SocketAddrV4,
        /// Where RTCP goes to, if that was said.
        control: Option<SocketAddrV4>,
    },
    /// The peer will send that medium so, to where we wanted it.
    Receive {
        /// As what.
        codec: Codec,
        /// Where its RTCP comes from, if that was said.
        control: Option<SocketAddrV4>,
    },
    /// The peer sends no more of it.
    Stop(Medium),
    /// The peer wants no more of it.
    Silence(Medium),
    /// A T.120 connection will come to where it was said.
    Data,
    /// It is over. Close everything once what was to be sent is sent.
    Ended(Ended),
}

/// Why a call is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Ended {
    /// Wished here.
    #[error("hung up here")]
    Here,
    /// Wished there, with a cause of Q.850 if one was said.
    #[error("hung up there")]
    There(Option<u8>),
    /// The called side was busy or did not want it.
    #[error("the call was turned down")]
    Refused(Option<u8>),
    /// The connection was lost.
    #[error("the connection was lost")]
    Lost,
    /// What came was no H.323, or too much of it.
    #[error("what the other side said could not be read")]
    Unreadable,
    /// The two have no codec in common.
    #[error("no codec in common")]
    NoCodec,
}
