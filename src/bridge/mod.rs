//! Bridge files: the description of one application, how it is negotiated and which programs take
//! it. `docs/BRIDGES.md` documents every key.
//!
//! [`read_file`] reads one file, [`Registry`] layers them (built-in, system, user), [`Handoff::fits`]
//! tells whether a program of the list can run here, and [`Handoff::plan`] makes the complete
//! argument vector from typed values. Nothing here starts anything.

mod formats;
mod handoff;
mod manifest;
#[cfg(test)]
mod mistakes;
mod placeholder;
mod ports;
mod registry;
pub(crate) mod source;
pub mod unknown;
mod wine_games;
mod words;

use std::sync::Arc;

pub use formats::NoFormat;
pub(crate) use handoff::installed;
pub use handoff::{
    Handoff, Keep, Medium, Missing, PlanError, Probe, ReadyRule, Requires, Watched, Way,
};
pub use manifest::Reading;
pub(crate) use manifest::is_shell;
pub use placeholder::{Template, TemplateError, Value, Values};
pub use ports::{NoPorts, Ports};
pub use registry::{Registry, folders, read_file, read_text};
pub use source::{BridgeError, Place};

use crate::negotiation::{Application, Role};

/// An adapter that a bridge may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdapterKind {
    /// The SIP front: voice and video.
    Sip,
    /// A program that calls the peer's, which listens.
    Call,
    /// A program that listens before our address is told.
    Listen,
    /// A game that speaks DirectPlay 4, in Wine: waits until the host's session is there.
    #[serde(rename = "directplay")]
    DirectPlay,
    /// A TCP relay to another machine of ours.
    ForwardTcp,
    /// NetMeeting: an H.323 terminal of our own, before a phone.
    H323,
    /// A game of the Quake 3 family: finds it at the host's ports, then starts ours.
    Quake3,
    /// A recorder: a port that keeps what comes.
    Record,
    /// Whiteboard and application sharing: answers the inviter's SIP call, takes its T.120.
    T120,
    /// Remote Assistance, for the one who helps: waits for the ticket, then starts an RDP program.
    RemoteAssistance,
    /// A picture over RTP: a webcam.
    Rtp,
}

impl AdapterKind {
    /// Who owns the announced port where the bridge does not say it.
    #[must_use]
    pub fn usual_way(self) -> Way {
        match self {
            Self::Sip | Self::H323 | Self::Rtp | Self::Record | Self::T120 | Self::ForwardTcp => {
                Way::Gate
            }
            Self::Call
            | Self::Listen
            | Self::DirectPlay
            | Self::Quake3
            | Self::RemoteAssistance => Way::Direct,
        }
    }
}

/// What becomes of an invitation that nothing here can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unclaimed {
    /// It goes to the client, byte for byte.
    #[default]
    Pass,
    /// The peer is told `REJECT_NOT_INSTALLED`.
    Refuse,
    /// It is accepted, after consent, and what comes is recorded.
    Record,
}

/// Where a bridge comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Embedded in the binary.
    BuiltIn,
    /// A file.
    File(std::path::PathBuf),
    /// Nowhere: it was made for an invitation.
    Invitation,
}

/// One application's description.
#[derive(Debug, Clone)]
pub struct Bridge {
    /// The negotiation half.
    pub application: Arc<Application>,
    /// Who can take it, best first.
    pub handoffs: Vec<Handoff>,
    /// What becomes of it when nobody can.
    pub unclaimed: Unclaimed,
    /// What to install, for people.
    pub install: Option<String>,
    /// What a person should know about this application.
    pub note: Option<String>,
    /// Where the description stands.
    pub origin: Origin,
}

impl Bridge {
    /// The handoffs for one role, best first.
    pub fn handoffs(&self, role: Role) -> impl Iterator<Item = &Handoff> {
        self.handoffs
            .iter()
            .filter(move |handoff| handoff.role.is_none_or(|only| only == role))
    }

    /// Whether something here can take it. A video player alone takes no call.
    #[must_use]
    pub fn can_be_taken(&self, role: Role) -> bool {
        self.adapter(role).is_some()
    }

    /// What consent rules call it.
    #[must_use]
    pub fn for_rules(&self) -> &str {
        match self.origin {
            Origin::Invitation => unknown::UNKNOWN,
            Origin::BuiltIn | Origin::File(_) => &self.application.id,
        }
    }

    /// What would be done with it here, for people: `linphone is started for it`.
    #[must_use]
    pub fn taken_by(&self, role: Role) -> Option<String> {
        let runs = |handoff: &&Handoff| handoff.medium == Medium::Session && handoff.fits().is_ok();
        let mut takers = self.handoffs(role).filter(runs);
        let first = takers.next()?;
        if first.builtin {
            return Some(format!("{} takes it", first.name));
        }
        if first.adapter == AdapterKind::Record {
            return Some("what comes is only recorded".to_owned());
        }
        if first.run.is_empty() {
            return Some(format!("it is given to {}", first.name));
        }
        let mut names = vec![first.name.as_str()];
        // Which game it is shows only when the host is asked.
        if first.adapter == AdapterKind::Quake3 {
            names.extend(takers.map(|handoff| handoff.name.as_str()));
        }
        let shares = first.shares.as_ref();
        let shares = shares.map_or_else(String::new, |what| format!(" and shares {what}"));
        Some(format!("{} is started for it{shares}", names.join(" or ")))
    }

    /// What the other person would get to see: to that a user says yes himself, and no rule does.
    #[must_use]
    pub fn shares(&self, role: Role) -> Option<&str> {
        self.handoffs(role)
            .filter(|handoff| handoff.fits().is_ok())
            .find_map(|handoff| handoff.shares.as_deref())
    }

    /// The adapter of the first handoff that can run here.
    #[must_use]
    pub fn adapter(&self, role: Role) -> Option<AdapterKind> {
        self.handoffs(role)
            .find(|handoff| handoff.medium == Medium::Session && handoff.fits().is_ok())
            .map(|handoff| handoff.adapter)
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built in"),
            Self::File(path) => path.display().fmt(f),
            Self::Invitation => f.write_str("made for an invitation"),
        }
    }
}
