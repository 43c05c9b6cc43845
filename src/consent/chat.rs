//! The chat window as a door: what the user types to us there, and what we say.
//!
//! Lines are shown to our user only. Text that a peer chose is cleaned first.

use std::{fmt::Write, time::Duration};

use crate::{
    endpoint::whereabouts,
    event::What,
    invitation::{CancelCode, Medium},
    negotiation::{EndReason, InvitationId, Offer, Role},
    shown,
};

/// Before every line of ours, so that nobody takes it for the contact's words.
const MARK: &str = "msn-handoff: ";
/// The longest text of a peer's that is shown, in characters.
const SHOWN: usize = 200;

/// A line the user typed that is for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `/accept [APPLICATION]`
    Accept(Option<String>),
    /// `/decline [APPLICATION]`
    Decline(Option<String>),
    /// `/hangup [APPLICATION]`
    HangUp(Option<String>),
    /// `/invite [APPLICATION]`
    Invite(Option<String>),
    /// `/handoff`, `/handoff help`
    Help,
    /// `/handoff status`
    Status,
}

/// An invitation that is open with the contact of this window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Its id.
    pub id: InvitationId,
    /// Bridge id of the application.
    pub application: String,
    /// Its name for people.
    pub name: String,
    /// The peer invited us and nobody has answered.
    pub asks_us: bool,
    /// It would show the contact something of this machine: only a yes by name counts.
    pub shares: bool,
    /// Another offer of the contact was taken back a moment ago: the yes may be meant for that.
    pub in_place: bool,
    /// How far it is, for people.
    pub state: String,
}

/// What follows from a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Accept this one.
    Accept(InvitationId),
    /// Decline this one.
    Decline(InvitationId),
    /// End these.
    HangUp(Vec<InvitationId>),
    /// Invite the contact to this application.
    Invite(String),
    /// Say what the contact can be invited to.
    Applications,
    /// Only an answer.
    Answer(Vec<String>),
}

impl Command {
    /// Reads a line. `None`: it is not for us and goes to the contact.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let lower = text.trim().to_lowercase();
        let mut words = lower.split_whitespace();
        let (verb, subject) = (words.next()?, words.next().map(str::to_owned));
        // More words than a command has are somebody's sentence.
        if words.next().is_some() {
            return None;
        }
        match (verb, subject.as_deref()) {
            ("/accept", _) => Some(Self::Accept(subject)),
            ("/decline", _) => Some(Self::Decline(subject)),
            ("/hangup", _) => Some(Self::HangUp(subject)),
            ("/invite", _) => Some(Self::Invite(subject)),
            ("/handoff", None | Some("help")) => Some(Self::Help),
            ("/handoff", Some("status")) => Some(Self::Status),
            _ => None,
        }
    }

    /// What it means, given what is open with this contact.
    #[must_use]
    pub fn choose(&self, open: &[Open]) -> Choice {
        match self {
            Self::Accept(subject) => match pick(open, subject.as_deref(), |open| open.asks_us) {
                Ok((newest, _)) if subject.is_none() && (newest.shares || newest.in_place) => {
                    Choice::Answer(vec![by_name(newest)])
                }
                Ok((newest, _)) => Choice::Accept(newest.id),
                Err(line) => Choice::Answer(vec![line]),
            },
            Self::Decline(subject) => pick(open, subject.as_deref(), |open| open.asks_us)
                .map_or_else(
                    |line| Choice::Answer(vec![line]),
                    |(newest, _)| Choice::Decline(newest.id),
                ),
            Self::HangUp(subject) => pick(open, subject.as_deref(), |_| true).map_or_else(
                |line| Choice::Answer(vec![line]),
                |(_, all)| Choice::HangUp(all),
            ),
            Self::Invite(Some(subject)) => Choice::Invite(subject.clone()),
            Self::Invite(None) => Choice::Applications,
            Self::Help => Choice::Answer(help()),
            Self::Status => Choice::Answer(status(open)),
        }
    }
}

/// The application that is meant: its newest invitation, and all of them; else a line that says why
/// there is none.
fn pick<'a>(
    open: &'a [Open],
    subject: Option<&str>,
    fits: impl Fn(&Open) -> bool,
) -> Result<(&'a Open, Vec<InvitationId>), String> {
    let exact = |open: &&Open| subject.is_some_and(|subject| open.application == subject);
    let begins = |open: &&Open| subject.is_none_or(|subject| open.application.starts_with(subject));
    let all = || open.iter().filter(|open| fits(open));
    let mut meant: Vec<&Open> = all().filter(exact).collect();
    if meant.is_empty() {
        meant = all().filter(begins).collect();
    }
    let Some(newest) = meant.iter().max_by_key(|open| open.id) else {
        return Err(format!(
            "{MARK}there is nothing of that kind open with this contact."
        ));
    };
    let mut ids: Vec<&str> = meant.iter().map(|open| open.application.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    if let [_, _, ..] = ids.as_slice() {
        return Err(format!(
            "{MARK}which one? Add its name: {}.",
            ids.join(", ")
        ));
    }
    Ok((newest, meant.iter().map(|open| open.id).collect()))
}

/// A yes that does not say to what is not enough.
fn by_name(open: &Open) -> String {
    let why = if open.shares {
        "the contact would see something of your machine"
    } else {
        "another invitation of the contact was taken back a moment ago"
    };
    format!(
        "{MARK}{}: {why}. To accept, type /accept {}.",
        clean(&open.name),
        open.application
    )
}

fn help() -> Vec<String> {
    [
        "invitations of your contacts are taken by programs on this machine. Type here:",
        "/accept - take what this contact offers",
        "/decline - do not",
        "/hangup - end it",
        "/invite voice - invite this contact; /invite alone says to what. The beginning of a name is enough",
        "/handoff status - what is open with this contact",
        "These lines never reach your contact.",
    ]
    .into_iter()
    .map(|line| format!("{MARK}{line}"))
    .collect()
}

/// What this contact can be invited to.
#[must_use]
pub fn invitable(ids: &[String]) -> String {
    if ids.is_empty() {
        return format!(
            "{MARK}nothing that you could invite to is installed; see msn-handoff doctor."
        );
    }
    format!("{MARK}you can invite this contact to: {}.", ids.join(", "))
}

/// Why a command was not obeyed where it does not say which contact is meant.
#[must_use]
pub fn one_contact() -> String {
    format!("{MARK}open a window with one contact for that.")
}

/// Why a command was not obeyed.
#[must_use]
pub fn not_obeyed(why: &impl std::fmt::Display) -> String {
    format!("{MARK}{}", sentence(&clean(&why.to_string())))
}

fn status(open: &[Open]) -> Vec<String> {
    if open.is_empty() {
        return vec![format!("{MARK}nothing is open with this contact.")];
    }
    open.iter()
        .map(|open| format!("{MARK}{}: {}.", open.name, open.state))
        .collect()
}

/// The line that asks: who, what, where from if that is known, and what a yes would do.
#[must_use]
pub fn offer(offer: &Offer, takes: Option<&str>, shares: bool) -> String {
    let what = match offer
        .capabilities
        .as_ref()
        .map(|asked| asked.requested.as_slice())
    {
        Some(requested) if requested.contains(&Medium::Video) => "a video call",
        Some([_, ..]) => "a voice call",
        _ => &offer.application.name,
    };
    let mut line = format!("{MARK}{} invites you to {what}", clean(&offer.peer));
    if let Some(name) = offer
        .name
        .as_deref()
        .map(clean)
        .filter(|name| !name.is_empty())
    {
        let _ = write!(line, " (\"{name}\")");
    }
    if let Some(candidate) = offer.candidates.first() {
        let lies = whereabouts::of(candidate.ip, &whereabouts::neighbourhoods());
        let _ = write!(line, ", from {}, {lies}", candidate.ip);
    }
    line.push_str(". Type /accept");
    if shares {
        let _ = write!(line, " {}", offer.application.id);
    }
    line.push_str(" or /decline");
    if let Some(takes) = takes {
        let _ = write!(line, "; on accept {takes}");
    }
    line.push('.');
    line
}

/// The line for something that happened, if the user should read it.
#[must_use]
pub fn line(what: &What, name: &str, role: Role) -> Option<String> {
    let text = match what {
        What::Offered => match role {
            // The question itself is asked by `offer`.
            Role::Invitee => return None,
            Role::Inviter => format!("you invite this contact to {name}; waiting for an answer."),
        },
        What::Accepted => format!("{name}: accepted."),
        What::Listening { .. } | What::Signal(_) => return None,
        What::Connected { to, lies } => {
            let lies = lies.map_or_else(String::new, |lies| format!(", {lies}"));
            format!("{name}: the contact is at {}{lies}.", clean(to))
        }
        What::ProgramStarted { program, .. } => format!("{name}: {program} was started."),
        What::Progress(words) => format!("{name}: {}", sentence(&clean(words))),
        What::ProgramEnded { program, how } => {
            format!("{name}: {program} is gone ({}).", clean(how))
        }
        What::Ended { reason, lasted } => {
            let lasted =
                lasted.map_or_else(String::new, |lasted| format!(" after {}", clock(lasted)));
            format!("{name} is over{lasted}: {}", sentence(&clean(reason)))
        }
    };
    Some(format!("{MARK}{text}"))
}

/// The line for an invitation that nothing here can take and that was declined for that.
#[must_use]
pub fn refused(name: &str, note: Option<&str>) -> String {
    let note = note.map(|note| format!(" {}", sentence(&clean(note))));
    format!(
        "{MARK}{name}: this contact invited you and was told that nothing here takes it.{}",
        note.unwrap_or_default()
    )
}

/// Why it ended, in the adapter's words where it has some.
#[must_use]
pub fn ended(reason: &EndReason, last_words: Option<&str>) -> String {
    match (reason, last_words) {
        (EndReason::ProgramEnded, Some(words)) => words.to_owned(),
        (
            EndReason::NotInstalledHere | EndReason::ProgramFailed | EndReason::TimedOut(_),
            Some(words),
        ) => format!("{reason}: {words}"),
        _ => reason.to_string(),
    }
}

/// What a CANCEL means that does not end a running call.
#[must_use]
pub fn peer_left(code: Option<&CancelCode>) -> String {
    match code {
        Some(code) => format!(
            "the contact's client let go of the invitation ({}); the call goes on",
            clean(code.as_str())
        ),
        None => "the contact's client let go of the invitation; the call goes on".to_owned(),
    }
}

/// `1:05`, or `1:02:05`.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

fn sentence(text: &str) -> String {
    if text.ends_with(['.', '!', '?']) {
        text.to_owned()
    } else {
        format!("{text}.")
    }
}

fn clean(text: &str) -> String {
    shown::line(text, SHOWN)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        invitation::{Capabilities, Guid},
        negotiation::{Application, Waiting},
    };

    fn open(id: u64, application: &str, asks_us: bool) -> Open {
        Open {
            id: InvitationId(id),
            application: application.into(),
            name: application.into(),
            asks_us,
            shares: application == "sharing",
            in_place: application == "swapped",
            state: "offered".into(),
        }
    }

    #[test]
    fn commands_are_recognised_and_sentences_are_not() {
        for (text, command) in [
            ("/accept", Some(Command::Accept(None))),
            ("  /ACCEPT \r\n", Some(Command::Accept(None))),
            ("/accept voice", Some(Command::Accept(Some("voice".into())))),
            ("/decline", Some(Command::Decline(None))),
            ("/hangup", Some(Command::HangUp(None))),
            ("/invite voice", Some(Command::Invite(Some("voice".into())))),
            ("/handoff", Some(Command::Help)),
            ("/handoff help", Some(Command::Help)),
            ("/handoff status", Some(Command::Status)),
            ("/handoff now", None),
            ("/accept this is a sentence", None),
            ("/acceptance", None),
            ("accept", None),
            ("/me waves", None),
            ("", None),
        ] {
            assert_eq!(Command::parse(text), command, "{text:?}");
        }
    }

    #[test]
    fn a_command_means_the_only_one_that_fits() {
        let both = [
            open(1, "voice", true),
            open(2, "webcam", true),
            open(3, "netmeeting", false),
        ];
        assert_eq!(
            Command::Accept(None).choose(&both[..1]),
            Choice::Accept(InvitationId(1))
        );
        assert_eq!(
            Command::Accept(Some("web".into())).choose(&both),
            Choice::Accept(InvitationId(2))
        );
        assert_eq!(
            Command::Accept(None).choose(&both),
            Choice::Answer(vec![
                "msn-handoff: which one? Add its name: voice, webcam.".into()
            ])
        );
        assert!(matches!(
            Command::Accept(None).choose(&both[2..]),
            Choice::Answer(_)
        ));
        assert_eq!(
            Command::HangUp(None).choose(&both[2..]),
            Choice::HangUp(vec![InvitationId(3)])
        );
    }

    #[test]
    fn an_exact_name_and_the_newest_are_meant() {
        let open = [
            open(1, "remote-assistance", true),
            open(2, "remote-assistance-offer", true),
            open(3, "remote-assistance", true),
        ];
        let by = |name: &str| Command::Accept(Some(name.into())).choose(&open);
        assert_eq!(by("remote-assistance"), Choice::Accept(InvitationId(3)));
        assert!(matches!(by("remote"), Choice::Answer(_)));
        assert_eq!(
            Command::HangUp(Some("remote-assistance".into())).choose(&open),
            Choice::HangUp(vec![InvitationId(1), InvitationId(3)])
        );
    }

    #[test]
    fn what_shares_or_came_in_anothers_place_is_accepted_by_name_only() {
        for (application, why) in [
            ("sharing", "would see something of your machine"),
            ("swapped", "was taken back a moment ago"),
        ] {
            let open = [open(1, application, true)];
            let Choice::Answer(lines) = Command::Accept(None).choose(&open) else {
                panic!("{application} was accepted");
            };
            assert!(lines[0].contains(why), "{lines:?}");
            assert_eq!(
                Command::Accept(Some(application.into())).choose(&open),
                Choice::Accept(InvitationId(1))
            );
        }
    }

    #[test]
    fn every_line_a_person_reads() {
        let guid: Guid = "{02D3C01F-BF30-4825-A83A-DE7AF41648AA}".parse().unwrap();
        let mut application = Application::new("voice", guid, "an audio conversation");
        application.name = "voice or video call".into();
        let call = |requested: &[Medium], name: &str| {
            let offered = Offer {
                peer: "alice@example.com".into(),
                application: Arc::new(application.clone()),
                name: Some(name.into()),
                url: None,
                capabilities: Some(Capabilities {
                    requested: requested.to_vec(),
                    supported: requested.to_vec(),
                }),
                candidates: vec![],
                connection: None,
                cookie: "1".into(),
                session_id: None,
            };
            offer(&offered, Some("linphone is started for it"), false)
        };
        let mut lines = vec![
            call(&[Medium::Audio], "an audio conversation"),
            call(&[Medium::Audio, Medium::Video], "\u{202e}evil\u{7}\r\nname"),
        ];
        let whats = [
            What::Offered,
            What::Accepted,
            What::Connected {
                to: "8.8.4.4:5060".into(),
                lies: Some(whereabouts::Whereabouts::Internet),
            },
            What::ProgramStarted {
                program: "linphone".into(),
                pid: 1,
            },
            What::Progress("the call is up".into()),
            What::ProgramEnded {
                program: "linphone".into(),
                how: "exit code 1".into(),
            },
            What::Ended {
                reason: ended(&EndReason::HungUp, None),
                lasted: Some(Duration::from_secs(3725)),
            },
            What::Ended {
                reason: ended(&EndReason::TimedOut(Waiting::SecondAccept), None),
                lasted: None,
            },
            What::Ended {
                reason: ended(&EndReason::ProgramEnded, Some("the contact hung up")),
                lasted: Some(Duration::from_secs(12)),
            },
            What::Ended {
                reason: ended(&EndReason::ProgramFailed, Some("no answer from linphone")),
                lasted: None,
            },
            What::Progress(peer_left(Some(&CancelCode::Timeout))),
        ];
        lines.extend(
            whats
                .iter()
                .filter_map(|what| line(what, "voice call", Role::Inviter)),
        );
        lines.extend(help());
        lines.push(refused("Remote Assistance", None));
        lines.push(refused(
            "Remote Assistance",
            Some("Nothing shares\r\na screen"),
        ));
        lines.extend(status(&[]));
        lines.extend(status(&[open(1, "voice", true)]));
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn the_question_is_not_asked_twice() {
        assert_eq!(line(&What::Offered, "voice call", Role::Invitee), None);
    }
}
