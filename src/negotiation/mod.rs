//! The handshake of one invitation, both roles, and a table of them. Pure: no socket, clock or
//! randomness.

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

/// Which message is about to carry an address of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announcement {
    /// ACCEPT, the first or the second, as our role says.
    Accept,
    /// The context message (PROTOCOL.md 5.5).
    Context,
}

/// The address of ours that goes into the next message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// Address.
    pub ip: core::net::Ipv4Addr,
    /// Port, where the application's address form has one.
    pub port: Option<u16>,
}

/// Where the peer says it is.
#[derive(Debug, Clone, Default)]
pub struct Remote {
    /// Candidates in the order of PROTOCOL.md section 3 rule 4.
    pub candidates: Vec<crate::invitation::Candidate>,
}
