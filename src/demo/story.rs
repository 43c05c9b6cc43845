//! What the demo saw, as steps of its [`super::ladder`]: commands the server relayed, lines in the
//! user's chat window, and what the dispatcher says about the call. Pure.

use std::{borrow::Cow, time::Duration};

use super::{
    client::ClientEvent,
    ladder::{Party, Sort, Step},
    server::{Kind, Side, Tapped},
};
use crate::{
    event::{self, Event, Signal, SignalKind, What},
    invitation::{Command, Message},
    shown,
};

/// Who is who in the story.
#[derive(Debug, Clone)]
pub(super) struct Cast {
    /// Handle of the contact far away.
    pub(super) peer: String,
}

impl Cast {
    /// A command at the server; most of a login is left out.
    pub(super) fn tapped(&self, at: Duration, tapped: &Tapped) -> Option<Step> {
        let line = tapped.line();
        let words: Vec<&str> = line.split(' ').collect();
        let word = |index: usize| words.get(index).copied().unwrap_or_default();
        let text = match (tapped.kind, tapped.from, word(0)) {
            (Kind::Notification, Side::Server, "USR") if word(2) == "OK" => "signed in".to_owned(),
            (Kind::Notification, Side::Server, "RNG") => format!("RNG from {}", name(word(5))),
            (Kind::Notification, Side::Client, "XFR") => "XFR SB".to_owned(),
            (Kind::Switchboard, Side::Client, "CAL") => format!("CAL {}", name(word(2))),
            (Kind::Switchboard, Side::Client, "ANS") => "ANS".to_owned(),
            (Kind::Switchboard, Side::Server, "JOI") => format!("JOI {}", name(word(1))),
            (Kind::Switchboard, _, "MSG") => message(tapped.payload())?,
            _ => return None,
        };
        let near = if tapped.who == self.peer {
            Party::Peer
        } else {
            Party::Us
        };
        let (from, to) = match tapped.from {
            Side::Client => (near, Party::Server),
            Side::Server => (Party::Server, near),
        };
        Some(Step {
            at,
            from,
            to,
            text,
            sort: Sort::Msn,
        })
    }

    /// A line that appeared in the user's chat window.
    pub(super) fn window(at: Duration, event: &ClientEvent) -> Option<Step> {
        Some(Step {
            at,
            from: Party::Us,
            to: Party::Client,
            text: line_in_short(&event.text()?),
            sort: Sort::Msn,
        })
    }

    /// A line the user typed.
    pub(super) fn typed(at: Duration, text: &str) -> Step {
        Step {
            at,
            from: Party::Client,
            to: Party::Us,
            text: text.to_owned(),
            sort: Sort::Msn,
        }
    }

    /// What the dispatcher of the user says.
    pub(super) fn event(at: Duration, event: &Event) -> Option<Step> {
        if let What::Signal(signal) = &event.what {
            return Some(Self::signal(at, signal));
        }
        let (from, to, text) = match &event.what {
            What::Listening { at } => (Party::Us, Party::Us, format!("listens on {at}")),
            What::ProgramStarted { program, pid } => (
                Party::Us,
                Party::Program,
                format!("start {program} (pid {pid})"),
            ),
            What::ProgramEnded { program, how } => {
                (Party::Program, Party::Us, format!("{program}: {how}"))
            }
            // The chat window tells these, and is in the picture.
            What::Offered
            | What::Accepted
            | What::Connected { .. }
            | What::Progress(_)
            | What::Signal(_)
            | What::Ended { .. } => return None,
        };
        Some(Step {
            at,
            from,
            to,
            text,
            sort: Sort::Note,
        })
    }
}

impl Cast {
    /// A message of the call itself.
    fn signal(at: Duration, signal: &Signal) -> Step {
        let far = match signal.with {
            event::Party::Peer => Party::Peer,
            event::Party::Program => Party::Program,
        };
        let (from, to) = if signal.sent {
            (Party::Us, far)
        } else {
            (far, Party::Us)
        };
        let sort = match signal.kind {
            SignalKind::Sip => Sort::Sip,
            SignalKind::Media => Sort::Media,
        };
        Step {
            at,
            from,
            to,
            text: signal.text.clone(),
            sort,
        }
    }
}

/// The part of a handle before the `@`.
fn name(handle: &str) -> &str {
    handle.split('@').next().unwrap_or_default()
}

/// A line of ours without the names before it, and not longer than three lines of the ladder.
fn line_in_short(text: &str) -> String {
    let text = text.strip_prefix("msn-handoff: ").unwrap_or(text);
    let text = text.split_once(": ").map_or(text, |(_, rest)| rest);
    shown::line(text, 50)
}

/// What a message says, in a few words; nothing for what only clients care about.
fn message(payload: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(payload);
    let (header, body) = text.split_once("\r\n\r\n")?;
    let header = header.to_ascii_lowercase();
    if header.contains("text/plain") {
        return Some(body.to_owned());
    }
    let message = Message::read(payload).ok()?;
    let command = message.command();
    let detail = match command {
        Command::Invite => message.application_name().map(Cow::into_owned),
        Command::Accept => message.text("IP-Address").map(Cow::into_owned),
        Command::Cancel => message.cancel_code().map(|code| code.as_str().to_owned()),
        Command::Context | Command::Other(_) => None,
    };
    let command = command.as_str();
    Some(detail.map_or_else(
        || command.to_owned(),
        |detail| format!("{command} {detail}"),
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::negotiation::{InvitationId, Role};

    const ANN: &str = "ann@example.com";
    const BOB: &str = "bob@example.com";

    fn tapped(kind: Kind, who: &str, from: Side, bytes: &[u8]) -> Tapped {
        Tapped {
            kind,
            connection: 1,
            session: None,
            who: who.to_owned(),
            from,
            bytes: Arc::from(bytes),
        }
    }

    #[test]
    fn commands_become_steps_between_the_right_parties() {
        use Kind::{Notification, Switchboard};
        use Side::{Client, Server};
        let mut invite = b"MSG 5 N 1\r\n".to_vec();
        invite.extend_from_slice(include_bytes!("../../tests/vectors/V1.msg"));
        let mut accept = b"MSG bob@example.com Bob 1\r\n".to_vec();
        accept.extend_from_slice(include_bytes!("../../tests/vectors/C1.msg"));
        type Seen<'a> = Option<(Party, Party, &'a str)>;
        let rows: &[(Kind, &str, Side, &[u8], Seen<'_>)] = &[
            (
                Notification,
                BOB,
                Server,
                b"USR 4 OK bob@example.com 1 0\r\n",
                Some((Party::Server, Party::Peer, "signed in")),
            ),
            (Notification, BOB, Server, b"USR 3 TWN S x\r\n", None),
            (
                Switchboard,
                BOB,
                Client,
                b"CAL 2 ann@example.com\r\n",
                Some((Party::Peer, Party::Server, "CAL ann")),
            ),
            (
                Notification,
                ANN,
                Server,
                b"RNG 1 127.0.0.1:1 CKI 2 bob@example.com Bob\r\n",
                Some((Party::Server, Party::Us, "RNG from bob")),
            ),
            (
                Switchboard,
                BOB,
                Client,
                &invite,
                Some((Party::Peer, Party::Server, "INVITE an audio conversation")),
            ),
            (
                Switchboard,
                ANN,
                Server,
                &accept,
                Some((Party::Server, Party::Us, "ACCEPT 192.0.2.10")),
            ),
            (Notification, ANN, Client, b"PNG\r\n", None),
        ];
        let cast = Cast {
            peer: BOB.to_owned(),
        };
        for (kind, who, from, bytes, want) in rows {
            let step = cast.tapped(Duration::ZERO, &tapped(*kind, who, *from, bytes));
            let seen = step
                .as_ref()
                .map(|step| (step.from, step.to, step.text.as_str()));
            assert_eq!(seen, *want, "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn events_become_remarks_and_starts() {
        let event = |what| Event {
            invitation: InvitationId(1),
            account: ANN.to_owned(),
            peer: BOB.to_owned(),
            name: "voice call".into(),
            application: "voice".to_owned(),
            role: Role::Invitee,
            takes: None,
            what,
        };
        let started = event(What::ProgramStarted {
            program: "baresip".to_owned(),
            pid: 7,
        });
        let step = Cast::event(Duration::ZERO, &started).unwrap();
        assert_eq!((step.from, step.to), (Party::Us, Party::Program));
        assert_eq!(step.text, "start baresip (pid 7)");
        assert_eq!(Cast::event(Duration::ZERO, &event(What::Offered)), None);

        let rang = event(What::Signal(Signal {
            with: event::Party::Program,
            sent: false,
            kind: SignalKind::Sip,
            text: "180 Ringing".to_owned(),
        }));
        let step = Cast::event(Duration::ZERO, &rang).unwrap();
        assert_eq!((step.from, step.to), (Party::Program, Party::Us));
        assert_eq!((step.sort, step.text.as_str()), (Sort::Sip, "180 Ringing"));
    }
}
