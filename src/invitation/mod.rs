//! The invitation message.

use core::net::Ipv4Addr;

/// A medium of a voice/video invitation (PROTOCOL.md 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Medium {
    /// `SIP_A`
    Audio,
    /// `SIP_V`
    Video,
}

/// One address of the peer, from one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Address.
    pub ip: Ipv4Addr,
    /// Port, when the field or a sibling gave one.
    pub port: Option<u16>,
}

/// Longest payload a switchboard takes (PROTOCOL.md 1.4).
pub const MAX_PAYLOAD: usize = 1664;
