//! Application sharing between two of us: the invited one's real screen appears on the other's.

use std::{path::Path, time::Duration};

use tokio::io::AsyncReadExt as _;

use msn_handoff::{bridge::Registry, dispatcher::Invitations as _, event::What, negotiation::Role};

use crate::{
    connect,
    support::{
        self,
        child::Child,
        namespace::alone,
        screen::{pixels, shot, start},
        sides::{ANN, BOB, Side, address, deliver},
        until, within,
    },
};

const RED: [u8; 3] = [220, 20, 30];
const GREEN: [u8; 3] = [10, 180, 60];
const BLUE: [u8; 3] = [20, 40, 230];

/// Switches the shipped handoffs on, at these screens.
fn switched_on(folder: &Path, display: &str) {
    let folder = folder.join("application-sharing.d");
    std::fs::create_dir_all(&folder).unwrap();
    let one = |name: &str| {
        format!(
            "[[handoff]]\nname = {name:?}\nenabled = true\nenv = {{ DISPLAY = {display:?} }}\n\
             requires = {{ any-env = [\"PATH\"] }}\n"
        )
    };
    let text = format!("{}{}", one("x0vncserver"), one("vncviewer"));
    std::fs::write(folder.join("mine.toml"), text).unwrap();
}

/// Paints the left half of a screen and the right half.
async fn paint(display: &str, dir: &Path, left: [u8; 3], right: [u8; 3]) {
    let name = |[r, g, b]: [u8; 3]| format!("xc:rgb({r},{g},{b})");
    let (one, other) = (name(left), name(right));
    let arguments = ["-size", "160x240", &one, &other, "+append", "picture.png"];
    let code = Child::start("convert", arguments, dir).wait().await;
    assert_eq!(code, Some(0));
    // Its exit code says nothing; what is on the screen does.
    let arguments = ["-display", display, "-window", "root", "picture.png"];
    Child::start("display", arguments, dir).wait().await;
    shows(display, dir, left, right).await;
}

/// Waits until a screen shows much of both colours.
async fn shows(display: &str, dir: &Path, one: [u8; 3], other: [u8; 3]) {
    within(&format!("the picture at {display}"), async {
        loop {
            let seen = shot(display, dir).await;
            // A half has 38,400 pixels; the viewer lays a hint over some.
            if pixels(&seen, one) > 25_000 && pixels(&seen, other) > 25_000 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
    .await;
}

#[test]
fn a_shared_screen_is_seen_on_the_other_side() {
    alone(async || {
        let programs = [
            "X0tigervnc",
            "xtigervncviewer",
            "Xvfb",
            "import",
            "display",
            "convert",
        ];
        if !support::have(&programs) {
            return;
        }
        let (ann_dir, bob_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (mut ann_screen, ann_display) = start(ann_dir.path(), "640x480x24").await;
        let (mut bob_screen, bob_display) = start(bob_dir.path(), "320x240x24").await;
        switched_on(ann_dir.path(), &ann_display);
        switched_on(bob_dir.path(), &bob_display);
        paint(&bob_display, bob_dir.path(), RED, GREEN).await;
        // Programs here come from 127.0.0.1, wherever they go.
        let (mut ann, from_ann) = Side::new(ANN, crate::ANN_AT, ann_dir.path());
        let (mut bob, from_bob) = Side::new(BOB, address(), bob_dir.path());
        deliver(from_ann, ANN, &bob);
        deliver(from_bob, BOB, &ann);

        ann.hub.invite(None, BOB, "application-sharing").unwrap();
        // Every contact is allowed everything, but not this.
        let asked = until("the question", || {
            let shown = bob.shown();
            shown
                .contains("/accept application-sharing")
                .then_some(shown)
        })
        .await;
        let words = "x0vncserver is started for it and shares your whole screen";
        assert!(asked.contains(words), "{asked}");
        bob.hub
            .typed(bob.account, ANN, "/accept application-sharing");
        let started = |what: &What| matches!(what, What::ProgramStarted { program, .. } if program == "x0vncserver");
        bob.until("x0vncserver", started).await;
        let shares = |what: &What| matches!(what, What::Progress(line) if line.contains("shares your whole screen"));
        bob.until("that it shares", shares).await;
        let at = bob.listens().await;
        shows(&ann_display, ann_dir.path(), RED, GREEN).await;
        // Nobody else is let in: the server would greet.
        let mut stranger = connect(address(), at).await;
        let greeting = within("the refusal", stranger.read(&mut [0; 12])).await;
        assert!(matches!(greeting, Ok(0) | Err(_)), "{greeting:?}");
        // It is no picture of the past.
        paint(&bob_display, bob_dir.path(), BLUE, RED).await;
        shows(&ann_display, ann_dir.path(), BLUE, RED).await;

        ann.hub.typed(ann.account, BOB, "/hangup");
        let gone = |what: &What| matches!(what, What::ProgramEnded { .. });
        ann.until("the end of the viewer", gone).await;
        bob.until("the end of the server", gone).await;
        ann.hub.shutdown().await;
        bob.hub.shutdown().await;
        ann_screen.terminate().await;
        bob_screen.terminate().await;
    });
}

#[test]
fn the_documented_examples_say_who_takes_it() {
    let page = include_str!("../../docs/applications/whiteboard.md");
    let examples: Vec<&str> = page
        .split("```toml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    let dir = tempfile::tempdir().unwrap();
    for (id, example) in [("whiteboard", 0), ("application-sharing", 1)] {
        let folder = dir.path().join(format!("{id}.d"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("mine.toml"), examples[example]).unwrap();
    }
    let registry = Registry::load(&[dir.path().to_owned()]).unwrap();
    let names = |id: &str, role| {
        let bridge = registry.by_id(id).unwrap();
        let names = bridge.handoffs(role).map(|handoff| handoff.name.clone());
        names.collect::<Vec<_>>()
    };
    let recorder = "the built-in recorder";
    assert_eq!(
        names("whiteboard", Role::Invitee),
        ["NetMeeting in a virtual machine", recorder]
    );
    assert_eq!(
        names("application-sharing", Role::Invitee),
        ["x0vncserver", recorder]
    );
    assert_eq!(names("application-sharing", Role::Inviter), ["vncviewer"]);
    // As shipped, nobody's screen is shared.
    let shipped = Registry::load(&[]).unwrap();
    let bridge = shipped.by_id("application-sharing").unwrap();
    assert!(bridge.handoffs(Role::Invitee).all(|it| it.shares.is_none()));
    assert_eq!(bridge.handoffs(Role::Inviter).count(), 0);
}
