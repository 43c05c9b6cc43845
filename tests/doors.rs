//! Every application, in both roles, through every door: invited to, accepted and ended from the chat
//! window, the command line, the control socket and the session bus.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    clippy::missing_panics_doc
)]

#[path = "support/mod.rs"]
mod support;

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Stdio,
};

use msn_handoff::{
    bridge::Registry,
    control::{
        bus,
        client::Client,
        protocol::{Id, Verb, Which},
        socket::Door,
    },
    dispatcher::{Invitations as _, Verdict},
    event::What,
    negotiation::InvitationId,
};
use support::{
    namespace::alone,
    sides::{ANN, BOB, Side, deliver},
    within,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};
use tokio_util::sync::CancellationToken;

/// Every application but file transfer, which always is the client's.
const APPLICATIONS: [&str; 10] = [
    "application-sharing",
    "baldurs-gate-2",
    "jedi-knight",
    "mechwarrior-mercenaries",
    "netmeeting",
    "remote-assistance",
    "remote-assistance-offer",
    "voice",
    "webcam",
    "whiteboard",
];

/// Before the handoffs of an application: a program that every machine has. What the real ones do is
/// tested elsewhere; here it is the way to them.
const STAND_IN: &str = r#"
[[handoff]]
name = "stand-in (inviter)"
adapter = "call"
role = "inviter"
run = ["sleep", "600"]
[[handoff]]
name = "stand-in (invitee)"
adapter = "call"
role = "invitee"
run = ["sleep", "600"]
"#;

/// Where both sides listen the adapter's own fallback stands in, which does.
fn stand_in(id: &str) -> String {
    let adapter = match id {
        "voice" => "sip",
        "webcam" => "rtp",
        _ => return STAND_IN.to_owned(),
    };
    format!("[[handoff]]\nname = \"stand-in\"\nadapter = \"{adapter}\"\nbuiltin = true\n")
}

#[test]
fn no_application_is_forgotten() {
    let registry = Registry::load(&[]).unwrap();
    let known: Vec<&str> = registry
        .iter()
        .map(|bridge| bridge.application.id.as_str())
        .filter(|id| *id != "file-transfer")
        .collect();
    assert_eq!(known, APPLICATIONS);
}

/// Who stands at a door.
#[derive(Clone, Copy)]
struct Person<'a> {
    side: &'a Side,
    socket: &'a Path,
    bus: &'a str,
    /// The other one.
    contact: &'static str,
}

#[derive(Debug, Clone, Copy)]
enum Through {
    Chat,
    CommandLine,
    Socket,
    Bus,
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Accept,
    HangUp,
}

impl Through {
    async fn invite(self, person: Person<'_>, application: &str) {
        match self {
            Self::Chat => types(person, &format!("/invite {application}")),
            Self::CommandLine => cli(person, &["invite", person.contact, application]).await,
            Self::Socket => {
                ask(
                    person,
                    Verb::Invite {
                        peer: person.contact.to_owned(),
                        application: application.to_owned(),
                        account: None,
                    },
                )
                .await;
            }
            Self::Bus => call(person, &["Invite", "sss", person.contact, application, ""]).await,
        }
    }

    async fn act(self, act: Act, person: Person<'_>, invitation: InvitationId, application: &str) {
        let id = Id(invitation).to_string();
        let which = Which {
            invitation: Id(invitation),
        };
        match (self, act) {
            (Self::Chat, Act::Accept) => types(person, &format!("/accept {application}")),
            (Self::Chat, Act::HangUp) => types(person, &format!("/hangup {application}")),
            (Self::CommandLine, Act::Accept) => cli(person, &["accept", &id]).await,
            (Self::CommandLine, Act::HangUp) => cli(person, &["hangup", &id]).await,
            (Self::Socket, Act::Accept) => ask(person, Verb::Accept(which)).await,
            (Self::Socket, Act::HangUp) => ask(person, Verb::HangUp(which)).await,
            (Self::Bus, Act::Accept) => call(person, &["Accept", "s", &id]).await,
            (Self::Bus, Act::HangUp) => call(person, &["HangUp", "s", &id]).await,
        }
    }
}

fn types(person: Person<'_>, text: &str) {
    let verdict = person
        .side
        .hub
        .typed(person.side.account, person.contact, text);
    assert_eq!(verdict, Verdict::Taken, "{text}");
}

async fn cli(person: Person<'_>, arguments: &[&str]) {
    let ran = Command::new(env!("CARGO_BIN_EXE_msn-handoff"))
        .args(arguments)
        .arg("--socket")
        .arg(person.socket)
        .env("XDG_CONFIG_HOME", person.socket.parent().unwrap())
        .stdin(Stdio::null())
        .output();
    let output = within("the command line", ran).await.unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

async fn ask(person: Person<'_>, verb: Verb) {
    let mut client = Client::connect(person.socket).await.unwrap();
    within("an answer", client.ask(verb)).await.unwrap();
}

async fn call(person: Person<'_>, arguments: &[&str]) {
    let ran = Command::new("busctl")
        .args(["--user", "call", bus::NAME, bus::PATH, bus::NAME])
        .args(arguments)
        .env("DBUS_SESSION_BUS_ADDRESS", person.bus)
        .stdin(Stdio::null())
        .output();
    let output = within("busctl", ran).await.unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

async fn session_bus(dir: &Path, name: &str) -> (Child, String) {
    let mut daemon = Command::new("dbus-daemon")
        .args(["--session", "--nofork", "--print-address"])
        .arg(format!("--address=unix:path={}/{name}.bus", dir.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(daemon.stdout.take().unwrap()).lines();
    let address = within("the address of the bus", lines.next_line()).await;
    (daemon, address.unwrap().unwrap())
}

/// The only open invitation of a side.
fn only(side: &Side) -> InvitationId {
    let open = side.hub.open();
    assert_eq!(open.len(), 1, "{open:?}");
    open[0].invitation
}

#[test]
fn every_application_in_both_roles_through_every_door() {
    alone(async || {
        if !support::have(&["dbus-daemon", "busctl"]) {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let bridges = dir.path().join("bridges");
        for id in APPLICATIONS {
            let amended = bridges.join(format!("{id}.d"));
            std::fs::create_dir_all(&amended).unwrap();
            std::fs::write(amended.join("stand-in.toml"), stand_in(id)).unwrap();
        }
        let (mut ann, from_ann) = Side::asking(ANN, Ipv4Addr::LOCALHOST, &bridges);
        // Machines of their own: at one and the same, a fixed port of the other's would be one's own.
        let (mut bob, from_bob) = Side::asking(BOB, Ipv4Addr::new(127, 0, 0, 2), &bridges);
        deliver(from_ann, ANN, &bob);
        deliver(from_bob, BOB, &ann);
        let stop = CancellationToken::new();
        let mut serving = Vec::new();
        let mut sockets = Vec::new();
        let mut buses = Vec::new();
        for (name, hub) in [("ann", &ann.hub), ("bob", &bob.hub)] {
            let socket: PathBuf = dir.path().join("run").join(name);
            let door = Door::open(&socket).await.unwrap();
            serving.push(tokio::spawn(door.serve(hub.clone(), stop.clone())));
            sockets.push(socket);
            let (daemon, address) = session_bus(dir.path(), name).await;
            let connection = zbus::connection::Builder::address(address.as_str());
            let connection = within("the bus", connection.build()).await.unwrap();
            let (hub, stop) = (hub.clone(), stop.clone());
            serving.push(tokio::spawn(async move {
                bus::serve(&connection, hub, stop).await.unwrap();
            }));
            buses.push((daemon, address));
        }
        for (_, address) in &buses {
            let owned = async {
                let list = || {
                    Command::new("busctl")
                        .args(["--user", "--no-legend", "list"])
                        .env("DBUS_SESSION_BUS_ADDRESS", address)
                        .output()
                };
                while !String::from_utf8_lossy(&list().await.unwrap().stdout).contains(bus::NAME) {
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
            };
            within("the name on the bus", owned).await;
        }

        let offered = |what: &What| *what == What::Offered;
        let connected = |what: &What| matches!(what, What::Connected { .. });
        let ended = |what: &What| matches!(what, What::Ended { .. });
        let mut rounds = 0;
        for application in APPLICATIONS {
            for door in [
                Through::Chat,
                Through::CommandLine,
                Through::Socket,
                Through::Bus,
            ] {
                let what = format!("{application} through {door:?}");
                macro_rules! person {
                    ($side:expr, $at:expr, $contact:expr) => {
                        Person {
                            side: &$side,
                            socket: &sockets[$at],
                            bus: &buses[$at].1,
                            contact: $contact,
                        }
                    };
                }
                door.invite(person!(ann, 0, BOB), application).await;
                bob.until(&what, offered).await;
                let (ours, theirs) = (only(&ann), only(&bob));
                door.act(Act::Accept, person!(bob, 1, ANN), theirs, application)
                    .await;
                bob.until(&what, connected).await;
                door.act(Act::HangUp, person!(ann, 0, BOB), ours, application)
                    .await;
                ann.until(&what, ended).await;
                // The contact's CANCEL ends his side, or he ends it himself: a game goes on without.
                if let [open] = &bob.hub.open()[..] {
                    let _ = bob.hub.hang_up(open.invitation);
                }
                bob.until(&what, ended).await;
                rounds += 1;
            }
        }
        assert_eq!(rounds, 40);
        ann.hub.shutdown().await;
        bob.hub.shutdown().await;
        stop.cancel();
        for serving in serving {
            within("a door's end", serving).await.unwrap();
        }
    });
}
