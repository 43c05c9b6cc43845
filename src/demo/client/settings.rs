//! Who logs in, and what may go wrong.

use std::{io, net::SocketAddr};

/// Who logs in, where and how.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// A server, or a proxy in front of one.
    pub server: SocketAddr,
    /// Version of the protocol, 2 to 18.
    pub version: u8,
    /// The handle, an address (`ann@example.com`).
    pub handle: String,
    /// Ack letter of invitation messages (PROTOCOL.md 1.1).
    pub letter: Letter,
}

impl ClientSettings {
    /// MSNP12, and `N` for invitations.
    #[must_use]
    pub fn new(server: SocketAddr, handle: &str) -> Self {
        Self {
            server,
            version: 12,
            handle: handle.to_owned(),
            letter: Letter::N,
        }
    }
}

/// Which acknowledgement a message asks for (PROTOCOL.md 1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Letter {
    /// None.
    U,
    /// `NAK` only on failure.
    N,
    /// `ACK` or `NAK`.
    A,
    /// As [`Letter::A`].
    D,
    /// `ACK` only on success.
    S,
}

impl Letter {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::U => "U",
            Self::N => "N",
            Self::A => "A",
            Self::D => "D",
            Self::S => "S",
        }
    }
}

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The connection could not be made.
    #[error("no connection to {addr}: {source}")]
    Connect {
        /// Where to.
        addr: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The connection ended.
    #[error("the server closed the connection")]
    Closed,
    /// No reply came in time.
    #[error("no answer to {verb}")]
    Silence {
        /// What was asked.
        verb: &'static str,
    },
    /// The reply is a refusal, or not the one the protocol has.
    #[error("{verb} was answered by {answer:?}")]
    Refused {
        /// What was asked.
        verb: &'static str,
        /// The first words of the reply.
        answer: String,
    },
    /// The message was not delivered (`NAK`).
    #[error("the message was not delivered")]
    Undelivered,
    /// There is no switchboard with that person.
    #[error("no conversation with this contact")]
    NoConversation,
}
