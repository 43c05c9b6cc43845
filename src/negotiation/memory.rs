//! The invitations that have ended a short while ago: their late and doubled messages are ours,
//! and must neither reach the client nor start anything again.

use std::collections::VecDeque;

use crate::{
    invitation::Cookie,
    negotiation::{InvitationId, Now, Role},
};

/// What names an invitation on the wire. The direction belongs to it, for both sides may pick the
/// same number (PROTOCOL.md section 7, glare).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    /// Handle of the peer, folded by [`fold`].
    pub(super) peer: String,
    /// Compared by its number.
    pub(super) cookie: Cookie,
    /// Which side we are.
    pub(super) role: Role,
}

/// The handle as a server spells it, without a `;{machine-guid}` (PROTOCOL.md 12.3).
pub(super) fn handle(peer: &str) -> &str {
    peer.split_once(';').map_or(peer, |(handle, _)| handle)
}

/// The handle as it is compared.
pub(super) fn fold(peer: &str) -> String {
    handle(peer).to_lowercase()
}

/// One ended invitation.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) id: InvitationId,
    pub(super) key: Key,
    /// Content of the INVITE, when the peer sent one.
    pub(super) fingerprint: Option<u64>,
    /// How to say once more that it is over.
    pub(super) again: Option<Again>,
    /// When it is forgotten.
    pub(super) until: Now,
}

/// A CANCEL that may be said once more.
#[derive(Debug)]
pub(super) struct Again {
    /// To whom.
    pub(super) peer: String,
    /// The message.
    pub(super) payload: Vec<u8>,
    /// Whether it was said at all.
    pub(super) said: bool,
}

/// The ended invitations, oldest first.
#[derive(Debug, Default)]
pub(super) struct Memory {
    past: VecDeque<Past>,
}

impl Memory {
    /// Remembers one, among at most `limit`.
    pub(super) fn keep(&mut self, past: Past, limit: usize) {
        self.past.push_back(past);
        while self.past.len() > limit {
            self.past.pop_front();
        }
    }

    /// Forgets what is too old.
    pub(super) fn forget(&mut self, now: Now) {
        self.past.retain(|past| past.until > now);
    }

    /// The newest under this name.
    pub(super) fn find(&mut self, key: &Key) -> Option<&mut Past> {
        self.past.iter_mut().rev().find(|past| past.key == *key)
    }

    /// The one with this id.
    pub(super) fn by_id(&mut self, id: InvitationId) -> Option<&mut Past> {
        self.past.iter_mut().rev().find(|past| past.id == id)
    }
}
