//! The control protocol, version 1: JSON Lines (one JSON object in a line, UTF-8).
//!
//! Compatible changes (new keys, events, reasons) keep the version; who reads ignores what it does
//! not know. Pure.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    dispatcher::{Open, VerbError},
    endpoint::whereabouts::Whereabouts,
    event::{Event, What},
    negotiation::{InvitationId, Role},
};

/// The version of the protocol.
pub const VERSION: u32 = 1;
/// Longest line of a request, in bytes.
pub const MAX_LINE: usize = 16 * 1024;

/// The first line that we send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// [`VERSION`].
    pub protocol: u32,
    /// Version of the program.
    pub version: String,
}

/// One line of a client's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Comes back with the answer.
    #[serde(default)]
    pub id: serde_json::Value,
    /// What to do.
    #[serde(flatten)]
    pub verb: Verb,
}

/// What a client may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case")]
pub enum Verb {
    /// What is open, and who is signed in.
    List,
    /// Invite a contact.
    Invite {
        /// Handle of the contact.
        peer: String,
        /// Id of the application, or its beginning.
        application: String,
        /// Who invites; not needed when only one account is signed in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        account: Option<String>,
    },
    /// Say yes to an offer.
    Accept(Which),
    /// Say no to an offer.
    Decline(Which),
    /// End an invitation.
    #[serde(rename = "hangup")]
    HangUp(Which),
    /// From now on every event is sent.
    Events,
}

/// The invitation a verb is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Which {
    /// Its id.
    pub invitation: Id,
}

/// Names an invitation, such as `1.3`: the third one of the first account. To be treated as a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub InvitationId);

/// Every other line of ours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// It was done.
    Done {
        /// That of the request.
        id: serde_json::Value,
        /// What came of it.
        ok: Done,
    },
    /// It was not done.
    Refused {
        /// That of the request; null when it could not be read.
        id: serde_json::Value,
        /// Why.
        error: Refusal,
    },
    /// Something happened.
    Event {
        /// What.
        event: Happened,
    },
    /// The client was too slow: so many events are missing.
    Missed {
        /// How many.
        missed: u64,
    },
}

/// What came of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Of `list`: who is signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<Vec<String>>,
    /// Of `list`: the open invitations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitations: Option<Vec<Listed>>,
    /// Of `list`: what the program is doing at once, as tasks of its runtime. When nothing is open it
    /// must come back to what it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<usize>,
    /// Of `invite`: the new invitation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitation: Option<Id>,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// A word for programs.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

/// One open invitation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Its id.
    pub invitation: Id,
    /// Handle of the signed-in user.
    pub account: String,
    /// Handle of the contact.
    pub peer: String,
    /// Id of the application.
    pub application: String,
    /// Its name for people.
    pub name: String,
    /// `inviter` or `invitee`: which side we are.
    pub role: String,
    /// How far it is.
    pub state: String,
    /// Whether `accept` or `decline` is waited for.
    pub asks: bool,
    /// What the contact would see of this machine, in words, where a yes shares something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shares: Option<String>,
    /// For how many seconds it has been running, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// How many packets of the contact's sound or picture came, where they pass through us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packets: Option<u64>,
    /// How many of them did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<u64>,
    /// How many came after a later one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reordered: Option<u64>,
    /// How many came again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicates: Option<u64>,
    /// How much the time between them varies (RFC 3550 section 6.4.1), in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<u64>,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happened {
    /// What: `offered`, `accepted`, `listening`, `connected`, `program-started`, `progress`,
    /// `program-ended`, `ended`.
    pub kind: String,
    /// The invitation.
    pub invitation: Id,
    /// Handle of the signed-in user.
    pub account: String,
    /// Handle of the contact.
    pub peer: String,
    /// Id of the application.
    pub application: String,
    /// Its name for people.
    pub name: String,
    /// `inviter` or `invitee`: which side we are.
    pub role: String,
    /// Of `offered`, when you are invited: what a yes would do, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takes: Option<String>,
    /// Of `listening` and `connected`: `ip` or `ip:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Of `connected`: where that lies: `here`, `near`, `private`, `shared`, `link`, `internet`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lies: Option<String>,
    /// Of `program-started` and `program-ended`: its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// Of `program-started`: its process id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Of `progress`, `program-ended` and `ended`: a text for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Of `ended`: how many seconds it was running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
}

/// A line as it was read; the error is for people.
///
/// # Errors
/// When it is too long, or not UTF-8.
pub fn line(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.len() > MAX_LINE {
        return Err(format!("a line is longer than {MAX_LINE} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "a line is not UTF-8".to_owned())
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let InvitationId(id) = self.0;
        write!(f, "{}.{}", id >> 32, id & u64::from(u32::MAX))
    }
}

/// It is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an invitation is named as `list` shows it, such as 1.3")]
pub struct NoId;

impl FromStr for Id {
    type Err = NoId;

    fn from_str(text: &str) -> Result<Self, NoId> {
        let (account, number) = text.split_once('.').ok_or(NoId)?;
        let account: u32 = account.parse().map_err(|_| NoId)?;
        let number: u32 = number.parse().map_err(|_| NoId)?;
        let id = u64::from(account) << 32 | u64::from(number);
        Ok(Self(InvitationId(id)))
    }
}

impl Serialize for Id {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

fn role(role: Role) -> String {
    match role {
        Role::Inviter => "inviter",
        Role::Invitee => "invitee",
    }
    .to_owned()
}

impl From<Open> for Listed {
    fn from(open: Open) -> Self {
        Self {
            invitation: Id(open.invitation),
            asks: open.asks_us(),
            shares: open.shares,
            account: open.account,
            peer: open.peer,
            application: open.application,
            name: open.name,
            role: role(open.role),
            state: open.state.to_string(),
            seconds: open.running.as_ref().map(Duration::as_secs),
            packets: open.heard.map(|heard| heard.received),
            lost: open.heard.map(|heard| heard.lost),
            reordered: open.heard.map(|heard| heard.reordered),
            duplicates: open.heard.map(|heard| heard.duplicates),
            jitter: open
                .heard
                .map(|heard| u64::try_from(heard.jitter.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

impl Happened {
    /// An event as clients are told. What only a picture of a call needs is not.
    #[must_use]
    pub fn of(event: &Event) -> Option<Self> {
        let mut happened = Self {
            kind: String::new(),
            invitation: Id(event.invitation),
            account: event.account.clone(),
            peer: event.peer.clone(),
            application: event.application.clone(),
            name: event.name.clone(),
            role: role(event.role),
            takes: event.takes.clone(),
            address: None,
            lies: None,
            program: None,
            pid: None,
            text: None,
            seconds: None,
        };
        let kind = match &event.what {
            What::Offered => "offered",
            What::Accepted => "accepted",
            What::Listening { at } => {
                happened.address = Some(at.clone());
                "listening"
            }
            What::Connected { to, lies } => {
                happened.address = Some(to.clone());
                happened.lies = lies.map(|lies| word(lies).to_owned());
                "connected"
            }
            What::ProgramStarted { program, pid } => {
                happened.program = Some(program.clone());
                happened.pid = Some(*pid);
                "program-started"
            }
            What::Progress(text) => {
                happened.text = Some(text.clone());
                "progress"
            }
            What::ProgramEnded { program, how } => {
                happened.program = Some(program.clone());
                happened.text = Some(how.clone());
                "program-ended"
            }
            What::Ended { reason, lasted } => {
                happened.text = Some(reason.clone());
                happened.seconds = lasted.as_ref().map(Duration::as_secs);
                "ended"
            }
            What::Signal(_) => return None,
        };
        kind.clone_into(&mut happened.kind);
        Some(happened)
    }
}

fn word(lies: Whereabouts) -> &'static str {
    match lies {
        Whereabouts::Here => "here",
        Whereabouts::Near => "near",
        Whereabouts::Private => "private",
        Whereabouts::Shared => "shared",
        Whereabouts::Link => "link",
        Whereabouts::Internet => "internet",
    }
}

impl From<VerbError> for Refusal {
    fn from(error: VerbError) -> Self {
        let reason = match &error {
            VerbError::NoAccount(_) => "no-account",
            VerbError::NobodyIsIn => "nobody-signed-in",
            VerbError::WhichAccount(_) => "which-account",
            VerbError::NoApplication(..) => "no-application",
            VerbError::WhichApplication(_) => "which-application",
            VerbError::NotInstalled { .. } => "not-installed",
            VerbError::NoContact(_) => "no-contact",
            VerbError::NotOpen => "not-open",
            VerbError::NotAsked => "not-asked",
            VerbError::NoEntropy => "no-randomness",
        };
        Self {
            reason: reason.to_owned(),
            message: error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_as_documented() {
        for (line, verb) in [
            (r#"{"verb":"list"}"#, Verb::List),
            (r#"{"id":7,"verb":"events","later":true}"#, Verb::Events),
            (
                r#"{"verb":"accept","invitation":"1.3"}"#,
                Verb::Accept(Which {
                    invitation: Id(InvitationId((1 << 32) + 3)),
                }),
            ),
            (
                r#"{"verb":"invite","peer":"a@b.example","application":"voice"}"#,
                Verb::Invite {
                    peer: "a@b.example".into(),
                    application: "voice".into(),
                    account: None,
                },
            ),
        ] {
            let request: Request = serde_json::from_str(line).unwrap();
            assert_eq!(request.verb, verb);
        }
        for wrong in [
            "",
            "[]",
            r#"{"verb":"dance"}"#,
            r#"{"verb":"accept"}"#,
            r#"{"verb":"hangup","invitation":3}"#,
            r#"{"verb":"hangup","invitation":"3"}"#,
            r#"{"verb":"hangup","invitation":"1.-3"}"#,
        ] {
            assert!(serde_json::from_str::<Request>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_id_is_the_same_there_and_back() {
        for id in [0, 3, 1 << 32, (7 << 32) + 12, u64::MAX] {
            let id = Id(InvitationId(id));
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn events_are_told_as_documented() {
        let event = |what| Event {
            invitation: InvitationId((1 << 32) + 2),
            account: "me@example.com".into(),
            peer: "alice@example.com".into(),
            application: "voice".into(),
            name: "voice or video call".into(),
            role: Role::Invitee,
            takes: (what == What::Offered).then(|| "linphone is started for it".into()),
            what,
        };
        let whats = [
            What::Offered,
            What::Accepted,
            What::Listening {
                at: "192.0.2.1:5062".into(),
            },
            What::Connected {
                to: "8.8.4.4:5060".into(),
                lies: Some(Whereabouts::Internet),
            },
            What::ProgramStarted {
                program: "linphone".into(),
                pid: 4711,
            },
            What::Progress("the call is on: linphone has it".into()),
            What::ProgramEnded {
                program: "linphone".into(),
                how: "exit code 0".into(),
            },
            What::Ended {
                reason: "the peer hung up".into(),
                lasted: Some(Duration::from_secs(65)),
            },
        ];
        let lines: Vec<String> = whats
            .into_iter()
            .filter_map(|what| Happened::of(&event(what)))
            .map(|event| serde_json::to_string(&Line::Event { event }).unwrap())
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }
}
