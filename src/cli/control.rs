//! `list`, `invite`, `accept`, `decline`, `hangup` and `events`: what is said to a running
//! `msn-handoff`.

use std::{fmt::Write, path::PathBuf};

use super::Failure;
use crate::{
    config::Config,
    control::{
        client::{Client, ClientError},
        protocol::{Done, Happened, Id, Listed, Verb, Which},
        socket,
    },
    shown,
};

/// The longest text from the socket that is printed, in characters; a refusal may list applications.
const LONGEST: usize = 200;
const LONGEST_REFUSAL: usize = 2000;

/// How a running `msn-handoff` is reached, and how it is told what it said.
#[derive(Debug, clap::Args)]
pub(super) struct Door {
    /// The control socket [default: $XDG_RUNTIME_DIR/msn-handoff/control]
    #[arg(long, value_name = "FILE")]
    socket: Option<PathBuf>,

    /// JSON, one object in a line, for programs
    #[arg(long)]
    json: bool,
}

/// `msn-handoff list`
#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    door: Door,
}

/// `msn-handoff invite`
#[derive(Debug, clap::Args)]
pub(super) struct Invite {
    /// The contact, such as alice@example.com
    contact: String,
    /// The application, as `bridges` shows it; the beginning is enough
    application: String,
    /// Who invites, when several accounts are signed in
    #[arg(long, value_name = "HANDLE")]
    account: Option<String>,
    #[command(flatten)]
    door: Door,
}

/// `msn-handoff accept`, `decline`, `hangup`
#[derive(Debug, clap::Args)]
pub(super) struct OnOne {
    /// Which: its id as `list` shows it, the contact, the application, or the last two. Not needed
    /// when there is only one
    #[arg(value_name = "WHICH", num_args = 0..=2)]
    which: Vec<String>,
    #[command(flatten)]
    door: Door,
}

/// `msn-handoff events`
#[derive(Debug, clap::Args)]
pub(super) struct Events {
    /// Go on after the first one
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    door: Door,
}

/// What is done with one invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Accept,
    Decline,
    HangUp,
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::new(shown::line(&error.to_string(), LONGEST_REFUSAL))
    }
}

/// Fit for a terminal: whoever listens at the socket wrote it.
fn plain(text: &str) -> String {
    shown::line(text, LONGEST)
}

impl Door {
    async fn connect(&self, config: &Config) -> Result<Client, Failure> {
        let place = self
            .socket
            .clone()
            .or_else(|| config.control.socket.clone())
            .unwrap_or_else(socket::usual_place);
        Ok(Client::connect(&place).await?)
    }

    /// False when nobody reads any more.
    fn print(&self, value: &impl serde::Serialize, words: &str) -> Result<bool, Failure> {
        if self.json {
            let line = serde_json::to_string(value).map_err(Failure::new)?;
            return Ok(super::try_print(&format!("{line}\n")));
        }
        Ok(super::try_print(words))
    }
}

pub(super) fn list(arguments: &List, config: &Config) -> Result<(), Failure> {
    let door = &arguments.door;
    let done = super::runtime()?.block_on(async {
        let mut client = door.connect(config).await?;
        Ok::<_, Failure>(client.ask(Verb::List).await?)
    })?;
    door.print(&done, &table(&done)).map(drop)
}

pub(super) fn invite(arguments: Invite, config: &Config) -> Result<(), Failure> {
    let door = arguments.door;
    let verb = Verb::Invite {
        peer: arguments.contact.clone(),
        application: arguments.application,
        account: arguments.account,
    };
    let done = super::runtime()?.block_on(async {
        let mut client = door.connect(config).await?;
        Ok::<_, Failure>(client.ask(verb).await?)
    })?;
    let id = done.invitation.map(|id| id.to_string()).unwrap_or_default();
    let words = format!(
        "{} is invited ({id}). What becomes of it: msn-handoff events --follow\n",
        arguments.contact
    );
    door.print(&done, &words).map(drop)
}

pub(super) fn on_one(act: Act, arguments: &OnOne, config: &Config) -> Result<(), Failure> {
    let door = &arguments.door;
    let (done, meant) = super::runtime()?.block_on(async {
        let mut client = door.connect(config).await?;
        let open = client.ask(Verb::List).await?.invitations;
        let meant = meant(&arguments.which, act, open.unwrap_or_default())?;
        let which = Which {
            invitation: meant.invitation,
        };
        let done = client.ask(act.verb(which)).await?;
        Ok::<_, Failure>((done, meant))
    })?;
    let (name, peer) = (plain(&meant.name), plain(&meant.peer));
    let words = format!("{name} with {peer}: {}\n", act.done());
    door.print(&done, &words).map(drop)
}

pub(super) fn events(arguments: &Events, config: &Config) -> Result<(), Failure> {
    let door = &arguments.door;
    super::runtime()?.block_on(async {
        let mut client = door.connect(config).await?;
        client.ask(Verb::Events).await?;
        loop {
            let event = client.event().await?;
            let read = door.print(&event, &words(&event))?;
            if !read || !arguments.follow {
                return Ok(());
            }
        }
    })
}

impl Act {
    fn verb(self, which: Which) -> Verb {
        match self {
            Self::Accept => Verb::Accept(which),
            Self::Decline => Verb::Decline(which),
            Self::HangUp => Verb::HangUp(which),
        }
    }

    fn done(self) -> &'static str {
        match self {
            Self::Accept => "accepted",
            Self::Decline => "declined",
            Self::HangUp => "ended",
        }
    }
}

/// The one that is meant.
fn meant(which: &[String], act: Act, open: Vec<Listed>) -> Result<Listed, Failure> {
    let fits = |listed: &Listed| {
        // What is shared is not meant by chance.
        let named = which.iter().any(|word| !word.contains('@'));
        (act == Act::HangUp || listed.asks)
            && (act != Act::Accept || listed.shares.is_none() || named)
            && which.iter().all(|word| match word.parse::<Id>() {
                Ok(id) => listed.invitation == id,
                Err(_) if word.contains('@') => listed.peer.eq_ignore_ascii_case(word),
                Err(_) => listed.application.starts_with(&word.to_lowercase()),
            })
    };
    let open_shares = act == Act::Accept && open.iter().any(|it| it.asks && it.shares.is_some());
    let mut meant: Vec<Listed> = open.into_iter().filter(fits).collect();
    match (meant.pop(), meant.is_empty()) {
        (Some(one), true) => Ok(one),
        (None, _) => Err(Failure::new(match (act, which) {
            (_, [_, ..]) => "no open invitation fits that; `msn-handoff list` shows what is open",
            (Act::HangUp, _) => "nothing is open",
            _ if open_shares => {
                "what waits would share something of this machine: name it, as in \
                 `msn-handoff accept remote-assistance`"
            }
            _ => "no offer waits for an answer",
        })),
        (Some(last), false) => {
            meant.push(last);
            let ids: Vec<String> = meant
                .iter()
                .map(|it| {
                    let (application, peer) = (plain(&it.application), plain(&it.peer));
                    format!("{} ({application} with {peer})", it.invitation)
                })
                .collect();
            Err(Failure::new(format!("which one? {}", ids.join(", "))))
        }
    }
}

fn table(done: &Done) -> String {
    let mut text = String::new();
    let accounts: Vec<String> = done.accounts.iter().flatten().map(|it| plain(it)).collect();
    let _ = match accounts.as_slice() {
        [] => writeln!(text, "nobody is signed in"),
        some => writeln!(text, "signed in: {}", some.join(", ")),
    };
    for it in done.invitations.iter().flatten() {
        let way = if it.role == "inviter" { "to" } else { "from" };
        let _ = write!(
            text,
            "{}  {} {way} {}: {}",
            it.invitation,
            plain(&it.name),
            plain(&it.peer),
            plain(&it.state)
        );
        if it.asks {
            text.push_str("; waits for accept or decline");
        }
        if let Some(seconds) = it.seconds {
            let _ = write!(text, " for {}:{:02}", seconds / 60, seconds % 60);
        }
        if let (Some(packets), Some(lost), Some(jitter)) = (it.packets, it.lost, it.jitter) {
            let _ = write!(
                text,
                "; {packets} packets came, {lost} did not, jitter {jitter} ms"
            );
        }
        text.push('\n');
    }
    text
}

fn words(event: &Happened) -> String {
    let mut line = format!(
        "{}  {} with {}: {}",
        event.invitation,
        plain(&event.name),
        plain(&event.peer),
        plain(&event.kind)
    );
    for more in [&event.program, &event.address, &event.lies, &event.text]
        .into_iter()
        .flatten()
    {
        let _ = write!(line, "; {}", plain(more));
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::negotiation::InvitationId;

    fn listed(number: u64, peer: &str, application: &str, asks: bool) -> Listed {
        Listed {
            invitation: Id(InvitationId((1 << 32) + number)),
            account: "me@example.com".into(),
            peer: peer.into(),
            application: application.into(),
            name: format!("a {application}"),
            role: if asks { "invitee" } else { "inviter" }.into(),
            state: "offered".into(),
            asks,
            seconds: (!asks).then_some(65),
            packets: None,
            lost: None,
            reordered: None,
            duplicates: None,
            shares: None,
            jitter: None,
        }
    }

    #[test]
    fn the_one_that_fits_is_meant() {
        let open = || {
            vec![
                listed(1, "alice@example.com", "voice", true),
                listed(2, "bob@example.com", "voice", true),
                listed(3, "bob@example.com", "webcam", false),
            ]
        };
        for (which, act, want) in [
            (&["1.2"][..], Act::Accept, Ok("1.2")),
            (&["ALICE@example.com"], Act::Accept, Ok("1.1")),
            (&["bob@example.com"], Act::Decline, Ok("1.2")),
            (&["bob@example.com", "web"], Act::HangUp, Ok("1.3")),
            (&[], Act::HangUp, Err("which one?")),
            (
                &["voi"],
                Act::Accept,
                Err("which one? 1.1 (voice with alice@example.com), 1.2"),
            ),
            (&["1.3"], Act::Accept, Err("no open invitation fits")),
            (
                &["eve@example.com"],
                Act::HangUp,
                Err("no open invitation fits"),
            ),
        ] {
            let which: Vec<String> = which.iter().map(|it| (*it).to_owned()).collect();
            let have = meant(&which, act, open()).map(|it| it.invitation.to_string());
            match (have, want) {
                (Ok(have), Ok(want)) => assert_eq!(have, want, "{which:?}"),
                (Err(have), Err(want)) => assert!(have.to_string().contains(want), "{have}"),
                (have, want) => panic!("{which:?}: {have:?}, not {want:?}"),
            }
        }
        assert!(meant(&[], Act::Accept, vec![]).is_err());
    }

    /// Whoever listens at the socket may say anything.
    #[test]
    fn what_the_socket_says_is_printed_in_clean_lines() {
        for hostile in [
            "\u{1b}]0;x\u{7}",
            "a\n9.9  b",
            "\u{202e}gpj",
            "\u{9b}2J",
            "\0",
        ] {
            let mut one = listed(1, hostile, hostile, false);
            one.state = hostile.into();
            let done = Done {
                accounts: Some(vec![hostile.into()]),
                invitations: Some(vec![one.clone()]),
                ..Done::default()
            };
            let happened = Happened {
                kind: hostile.into(),
                invitation: one.invitation,
                account: hostile.into(),
                peer: hostile.into(),
                application: hostile.into(),
                name: hostile.into(),
                role: hostile.into(),
                takes: None,
                address: Some(hostile.into()),
                lies: Some(hostile.into()),
                program: Some(hostile.into()),
                pid: None,
                text: Some(hostile.into()),
                seconds: None,
            };
            let which = meant(&[], Act::HangUp, vec![one.clone(), one]).unwrap_err();
            let refused = Failure::from(ClientError::Refused {
                reason: hostile.into(),
                message: hostile.into(),
            });
            for (text, lines) in [
                (table(&done), 2),
                (words(&happened), 1),
                (format!("{which}\n"), 1),
                (format!("{refused}\n"), 1),
            ] {
                assert_eq!(text.lines().count(), lines, "{text:?}");
                let clean = |line: &str| {
                    line.split(' ')
                        .all(|it| it.is_empty() || shown::is_word(it))
                };
                assert!(text.lines().all(clean), "{text:?}");
            }
        }
    }

    #[test]
    fn the_list_is_for_people() {
        let done = Done {
            accounts: Some(vec!["me@example.com".into()]),
            invitations: Some(vec![
                listed(1, "alice@example.com", "voice", true),
                listed(3, "bob@example.com", "webcam", false),
            ]),
            tasks: Some(12),
            invitation: None,
        };
        insta::assert_snapshot!(table(&done) + &table(&Done::default()));
    }
}
