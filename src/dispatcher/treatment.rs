//! What becomes of an INVITE: whose it is, before anybody is asked.

use std::sync::Arc;

use super::Settings;
use crate::{
    bridge::{Bridge, BridgeError, Unclaimed, unknown},
    invitation::{Dialect, Message},
    negotiation::{Role, Treatment},
};

/// What becomes of an INVITE.
pub(super) enum Treated {
    /// It is the client's.
    Pass,
    /// The peer is told that nothing is installed.
    Refuse,
    /// It is for this bridge, which may have been made for it.
    Take(Arc<Bridge>),
}

impl Treated {
    /// In the engine's words.
    pub(super) fn treatment(&self) -> Option<Treatment> {
        match self {
            Self::Pass => None,
            Self::Refuse => Some(Treatment::RefuseNotInstalled),
            Self::Take(bridge) => Some(Treatment::Negotiate(Arc::clone(&bridge.application))),
        }
    }

    fn made(bridge: Result<Bridge, BridgeError>) -> Self {
        match bridge {
            Ok(bridge) => Self::Take(Arc::new(bridge)),
            Err(error) => {
                tracing::error!(%error, "no bridge made");
                Self::Pass
            }
        }
    }
}

/// Which bridge an INVITE is for, and what is done with it. File transfer needs no word here: the
/// engine leaves it to the client whatever is said of it.
pub(super) fn of(settings: &Settings, invite: &Message<'_>) -> Treated {
    let Some(guid) = invite.application_guid() else {
        return Treated::Pass;
    };
    let Some(bridge) = settings.registry.by_guid(&guid) else {
        return match settings.registry.unknown() {
            Unclaimed::Pass => Treated::Pass,
            Unclaimed::Refuse => Treated::Refuse,
            // Only what can be negotiated is ours to accept.
            Unclaimed::Record if invite.dialect() == Dialect::Unknown => Treated::Pass,
            Unclaimed::Record => Treated::made(unknown::unknown(guid, invite)),
        };
    };
    if bridge.can_be_taken(Role::Invitee) {
        return Treated::Take(Arc::clone(bridge));
    }
    match settings.unclaimed.unwrap_or(bridge.unclaimed) {
        Unclaimed::Pass => Treated::Pass,
        Unclaimed::Refuse => Treated::Refuse,
        Unclaimed::Record => Treated::made(unknown::recorded(bridge)),
    }
}
