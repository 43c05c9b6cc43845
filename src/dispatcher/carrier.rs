//! The contract between a front (what brings messages) and the dispatcher (what decides).

use std::{net::Ipv4Addr, sync::Arc};

use crate::negotiation::InvitationId;

/// One signed-in account of one front.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub u64);

/// Names an invitation message on its way out, so that its loss can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Delivery(pub InvitationId);

/// Whether a message goes on to where it was going.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was for us; the front swallows it.
    Taken,
    /// It is not ours; the front passes it on, byte for byte.
    Pass,
}

/// What a front can do for the dispatcher. No call may block, or call [`Invitations`] back before
/// it returns: the dispatcher is in the middle of something.
pub trait Carrier: Send + Sync {
    /// Brings an invitation payload (MIME header and body) to `peer`: over an open switchboard
    /// with exactly that peer, or over one it opens (PROTOCOL.md 12.6). Messages to one peer keep
    /// their order. A failure is told by [`Invitations::undelivered`].
    fn send(&self, peer: &str, payload: Vec<u8>, delivery: Delivery);

    /// The address of this machine that leads to the server, where the front knows it: a laptop may
    /// have another one since it was started.
    fn own_ip(&self) -> Option<Ipv4Addr> {
        None
    }

    /// The address at which the server sees that, where the front knows it (`ClientIP` of the
    /// profile, PROTOCOL.md 4.1).
    fn seen_ip(&self) -> Option<Ipv4Addr> {
        None
    }

    /// Shows a line in the chat window with `peer`. It never reaches the peer.
    fn show(&self, peer: &str, line: &str);

    /// Says something without meaning into a switchboard with exactly that peer, so that nobody
    /// closes it for being idle (PROTOCOL.md 5.0). Opens none. A carrier that cannot does nothing.
    fn keep_alive(&self, _peer: &str) {}
}

/// What a front tells the dispatcher. Calls are synchronous and quick: the proxy asks before it
/// forwards a message, and nothing may wait.
pub trait Invitations: Send + Sync {
    /// A client signed in as `account`.
    fn attach(&self, account: &str, carrier: Arc<dyn Carrier>) -> AccountId;

    /// That client is gone; its negotiations end.
    fn detach(&self, account: AccountId);

    /// An invitation payload arrived from `peer`.
    fn received(&self, account: AccountId, peer: &str, payload: &[u8]) -> Verdict;

    /// The user is about to send `text` to `peer`. [`Verdict::Taken`] means it was a command for us.
    fn typed(&self, account: AccountId, peer: &str, text: &str) -> Verdict;

    /// The user is about to send `text` where nobody is, or more than one contact. With an answer it
    /// was a command for us, which must reach none of them; the answer is for the user.
    fn typed_elsewhere(&self, _account: AccountId, _text: &str) -> Option<String> {
        None
    }

    /// The last switchboard with `peer` has gone. Open negotiations that wait for the peer end
    /// unless another switchboard can be opened.
    fn carrier_lost(&self, account: AccountId, peer: &str);

    /// `peer` came into a switchboard.
    fn carrier_back(&self, _account: AccountId, _peer: &str) {}

    /// A message could not be delivered (`NAK`, peer offline, no switchboard).
    fn undelivered(&self, account: AccountId, delivery: Delivery);
}
