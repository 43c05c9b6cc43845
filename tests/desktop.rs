//! The doors of the desktop: the D-Bus service as a script author drives it (busctl, gdbus), and
//! notifications by a real notification daemon whose button is pressed.

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
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use msn_handoff::{
    control::{bus, notification},
    event::What,
};
use support::{
    sides::{ANN, BOB, Side, deliver},
    within,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use zbus::Connection;

const VOICE: &str = r#"
id = "voice"
name = "voice call"
guids = ["{02D3C01F-BF30-4825-A83A-DE7AF41648AA}"]
announce = "an audio conversation"
[negotiation]
address = "ip:port"
listens = "both"
media = ["audio"]
[[handoff]]
name = "the built-in agent"
adapter = "sip"
builtin = true
"#;

/// Ann invites, Bob has a desktop.
struct Stage {
    dir: tempfile::TempDir,
    ann: Side,
    bob: Side,
    address: String,
    connection: Connection,
    stop: CancellationToken,
    serving: Vec<JoinHandle<Result<(), zbus::Error>>>,
    _bus: Child,
}

impl Stage {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let bridges = dir.path().join("bridges");
        std::fs::create_dir(&bridges).unwrap();
        std::fs::write(bridges.join("voice.toml"), VOICE).unwrap();
        let (ann, from_ann) = Side::asking(ANN, Ipv4Addr::LOCALHOST, &bridges);
        let (bob, from_bob) = Side::asking(BOB, Ipv4Addr::LOCALHOST, &bridges);
        deliver(from_ann, ANN, &bob);
        deliver(from_bob, BOB, &ann);
        let (daemon, address) = session_bus(dir.path()).await;
        let builder = zbus::connection::Builder::address(address.as_str());
        let connection = within("the bus", builder.build()).await.unwrap();
        Self {
            dir,
            ann,
            bob,
            address,
            connection,
            stop: CancellationToken::new(),
            serving: Vec::new(),
            _bus: daemon,
        }
    }

    async fn runs(&self, program: &str, arguments: &[&str]) -> (bool, String) {
        let output = Command::new(program)
            .args(arguments)
            .env("DBUS_SESSION_BUS_ADDRESS", &self.address)
            .stdin(Stdio::null())
            .output();
        let output = within(program, output).await.unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), text + &words)
    }

    /// Until somebody has that name; that it could be started for it does not count.
    async fn until_owned(&self, name: &str) {
        let asked = async {
            loop {
                let list = self
                    .runs("busctl", &["--user", "--no-legend", "--acquired", "list"])
                    .await
                    .1;
                if list.lines().any(|line| line.starts_with(name)) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        within(name, asked).await;
    }

    async fn end(self) {
        self.ann.hub.shutdown().await;
        self.bob.hub.shutdown().await;
        self.stop.cancel();
        for serving in self.serving {
            within("a door's end", serving).await.unwrap().unwrap();
        }
    }
}

async fn session_bus(dir: &Path) -> (Child, String) {
    let mut daemon = Command::new("dbus-daemon")
        .args(["--session", "--nofork", "--print-address"])
        .arg(format!("--address=unix:path={}/bus", dir.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(daemon.stdout.take().unwrap()).lines();
    let address = within("the address of the bus", lines.next_line()).await;
    (daemon, address.unwrap().unwrap())
}

const CALL: [&str; 5] = [
    "--user",
    "call",
    bus::NAME,
    bus::PATH,
    "org.msn_handoff.Control1",
];

#[tokio::test(flavor = "multi_thread")]
async fn scripts_drive_it_over_the_session_bus() {
    if !support::have(&["dbus-daemon", "busctl", "gdbus"]) {
        return;
    }
    let mut stage = Stage::new().await;
    let (connection, hub, stop) = (
        stage.connection.clone(),
        stage.bob.hub.clone(),
        stage.stop.clone(),
    );
    let serving = tokio::spawn(async move { bus::serve(&connection, hub, stop).await });
    stage.serving.push(serving);
    stage.until_owned(bus::NAME).await;

    let mut monitor = Command::new("gdbus")
        .args(["monitor", "--session", "--dest", bus::NAME])
        .env("DBUS_SESSION_BUS_ADDRESS", &stage.address)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut told = BufReader::new(monitor.stdout.take().unwrap()).lines();
    // Its second line says who has the name: from then on it hears everything.
    for _ in 0..2 {
        within("the monitor", told.next_line()).await.unwrap();
    }

    let (done, seen) = stage
        .runs("busctl", &["--user", "introspect", bus::NAME, bus::PATH])
        .await;
    assert!(done, "{seen}");
    for member in [
        ".Accept",
        ".Decline",
        ".HangUp",
        ".Invite",
        ".Invitations",
        ".Accounts",
        ".Happened",
    ] {
        assert!(seen.contains(member), "{member} is not in {seen}");
    }

    stage.ann.hub.invite(None, BOB, "voice").unwrap();
    let offered = |what: &What| *what == What::Offered;
    stage.bob.until("the offer", offered).await;
    let property = [
        "call",
        "--session",
        "--dest",
        bus::NAME,
        "--object-path",
        bus::PATH,
        "--method",
        "org.freedesktop.DBus.Properties.Get",
        "org.msn_handoff.Control1",
        "Invitations",
    ];
    let (done, seen) = stage.runs("gdbus", &property).await;
    assert!(
        done && seen.contains("'peer': <'ann@example.com'>"),
        "{seen}"
    );
    assert!(seen.contains("'asks': <true>"), "{seen}");

    let act = |verb: &'static str| [&CALL[..], &[verb, "s", "1.1"]].concat();
    let (done, seen) = stage.runs("busctl", &act("Accept")).await;
    assert!(done, "{seen}");
    let connected = |what: &What| matches!(what, What::Connected { .. });
    stage.bob.until("the connection", connected).await;
    let (done, seen) = stage.runs("busctl", &act("Decline")).await;
    assert!(
        !done && seen.contains("does not wait for an answer"),
        "{seen}"
    );
    let (done, seen) = stage.runs("busctl", &act("HangUp")).await;
    assert!(done, "{seen}");
    let ended = |what: &What| matches!(what, What::Ended { .. });
    stage.bob.until("the end", ended).await;

    let wrong = [&CALL[..], &["Invite", "sss", ANN, "chess", ""]].concat();
    let (done, seen) = stage.runs("busctl", &wrong).await;
    assert!(
        !done && seen.contains("no application is called \"chess\""),
        "{seen}"
    );

    let mut kinds = Vec::new();
    let signals = async {
        while let Some(line) = told.next_line().await.unwrap() {
            if let Some((_, rest)) = line.split_once("Control1.Happened ('") {
                kinds.push(rest.split('\'').next().unwrap().to_owned());
            }
            if kinds.last().is_some_and(|kind| kind == "ended") {
                break;
            }
        }
    };
    within("the signals", signals).await;
    assert_eq!(kinds[..3], ["offered", "accepted", "listening"]);
    stage.end().await;
}

/// A display with a notification daemon that presses a button as soon as it is asked to.
struct Desktop {
    dunst: support::child::Child,
    _screen: support::child::Child,
    display: String,
    presses: PathBuf,
}

impl Desktop {
    async fn new(stage: &Stage) -> Self {
        let dir = stage.dir.path();
        let (server, display) = support::screen::start(dir, "640x480x24").await;
        // With two actions dunst asks through a menu program: ours reads the choice from a file.
        let presses = dir.join("presses");
        let menu = dir.join("menu.sh");
        let script = format!(
            "#!/bin/sh\ncat > {0}/choices\ngrep -m1 \"$(cat {1})\" {0}/choices\n",
            dir.display(),
            presses.display()
        );
        std::fs::write(&menu, script).unwrap();
        std::fs::set_permissions(&menu, std::fs::Permissions::from_mode(0o700)).unwrap();
        let settings = dir.join("dunstrc");
        std::fs::write(
            &settings,
            format!("[global]\ndmenu = {}\nfont = Sans 14\n", menu.display()),
        )
        .unwrap();
        let arguments = ["-conf", settings.to_str().unwrap(), "-verbosity", "debug"];
        let variables = [
            ("DISPLAY", display.as_str()),
            ("DBUS_SESSION_BUS_ADDRESS", stage.address.as_str()),
        ];
        let dunst = support::child::Child::start_with("dunst", arguments, dir, &variables);
        stage.until_owned("org.freedesktop.Notifications").await;
        Self {
            dunst,
            _screen: server,
            display,
            presses,
        }
    }

    /// Presses that button of what is shown.
    async fn press(&self, stage: &Stage, button: &str) {
        std::fs::write(&self.presses, button).unwrap();
        let (done, words) = stage.runs("dunstctl", &["context"]).await;
        assert!(done, "{words}");
    }

    async fn shows(&self, stage: &Stage, count: &str) {
        let counted = async {
            loop {
                let (_, shown) = stage.runs("dunstctl", &["count", "displayed"]).await;
                if shown.trim() == count {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        };
        within("the notifications", counted).await;
    }

    /// How many pixels of the screen are not as the first one: of an empty one none.
    async fn painted(&self, stage: &Stage) -> usize {
        let shot = support::screen::shot(&self.display, stage.dir.path()).await;
        let first = &shot[..3];
        shot.chunks_exact(3).filter(|pixel| *pixel != first).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_button_of_a_notification_answers_and_an_answer_elsewhere_takes_it_away() {
    if !support::have(&[
        "dbus-daemon",
        "busctl",
        "dunst",
        "dunstctl",
        "Xvfb",
        "import",
    ]) {
        return;
    }
    let mut stage = Stage::new().await;
    let desktop = Desktop::new(&stage).await;
    let (connection, hub, stop) = (
        stage.connection.clone(),
        stage.bob.hub.clone(),
        stage.stop.clone(),
    );
    let serving = tokio::spawn(async move { notification::serve(&connection, hub, stop).await });
    stage.serving.push(serving);
    // Nothing is on the screen before, and an offer that comes before the door is open is not shown.
    desktop.shows(&stage, "0").await;
    assert_eq!(desktop.painted(&stage).await, 0);
    let offered = |what: &What| *what == What::Offered;
    let ended = |what: &What| matches!(what, What::Ended { .. });
    let connected = |what: &What| matches!(what, What::Connected { .. });

    // The button "Accept" makes the call.
    let call = invite_until_shown(&mut stage, &desktop).await;
    // A window with two lines of text.
    assert!(desktop.painted(&stage).await > 5000, "the screen is empty");
    desktop.press(&stage, "Accept").await;
    stage.bob.until("the connection", connected).await;
    desktop.shows(&stage, "0").await;
    stage.ann.hub.hang_up(call).unwrap();
    stage.bob.until("the end", ended).await;

    // The button "Decline" does not.
    stage.ann.hub.invite(None, BOB, "voice").unwrap();
    stage.bob.until("the offer", offered).await;
    desktop.shows(&stage, "1").await;
    desktop.press(&stage, "Decline").await;
    stage.bob.until("the end", ended).await;
    desktop.shows(&stage, "0").await;

    // Answered in another door, it goes.
    stage.ann.hub.invite(None, BOB, "voice").unwrap();
    stage.bob.until("the offer", offered).await;
    desktop.shows(&stage, "1").await;
    let [open] = &stage.bob.hub.open()[..] else {
        panic!("one offer")
    };
    stage.bob.hub.decline(open.invitation).unwrap();
    desktop.shows(&stage, "0").await;

    stage.end().await;
}

/// The door may not be open yet: invites again until a notification is there.
async fn invite_until_shown(
    stage: &mut Stage,
    desktop: &Desktop,
) -> msn_handoff::negotiation::InvitationId {
    let patience = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let printed = desktop.dunst.output();
        if stage.serving[0].is_finished() {
            let said = (&mut stage.serving[0]).await.unwrap();
            panic!("the door is closed: {said:?}; dunst said: {printed}");
        }
        let now = tokio::time::Instant::now();
        assert!(now < patience, "nothing is shown; dunst said: {printed}");
        let call = stage.ann.hub.invite(None, BOB, "voice").unwrap();
        for _ in 0..20 {
            let (_, shown) = stage.runs("dunstctl", &["count", "displayed"]).await;
            if shown.trim() == "1" {
                return call;
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        stage.ann.hub.hang_up(call).unwrap();
    }
}
