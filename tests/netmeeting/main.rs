//! NetMeeting: Asterisk of Debian 11 speaks H.323 (TOOLS.md 7), for us and against us, through the
//! negotiation of the shipped bridge.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../voice/agent.rs"]
#[allow(dead_code, reason = "shared with the tests of voice")]
mod agent;
mod endless;
mod own;
mod peer;
#[path = "../support/mod.rs"]
mod support;

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use msn_handoff::{
    adapter::h323::{self, q931, tpkt},
    bridge::{Registry, Unclaimed},
    dispatcher::Invitations as _,
    event::What,
};
use support::{
    child::Child,
    namespace::alone,
    pycrate::cached,
    sides::{ANN, BOB, Side, address, deliver},
    sound::{self, Heard},
    until,
    wireshark::dissected,
    within,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

/// Runs Asterisk; see there.
const ASTERISK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/netmeeting/asterisk");

/// The folder with Asterisk.
fn chroot() -> Option<PathBuf> {
    let folder = cached("h323-bullseye-1")?;
    let asterisk = folder.join("usr/sbin/asterisk");
    // Missing, it is reported as any other program.
    support::have(&[asterisk.to_str()?]).then_some(folder)
}

/// Two sides that know the shipped bridge, with handoffs of the test before its own.
struct Pair {
    dir: TempDir,
    ann: Side,
    bob: Side,
    inviter: Ipv4Addr,
    invitee: Ipv4Addr,
}

impl Pair {
    fn new(handoffs: impl Fn(&Path, Ipv4Addr) -> String) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (inviter, invitee) = (address(), address());
        let amendments = dir.path().join("bridges/netmeeting.d");
        fs::create_dir_all(&amendments).unwrap();
        fs::write(amendments.join("test.toml"), handoffs(dir.path(), invitee)).unwrap();
        let bridges = dir.path().join("bridges");
        let (ann, from_ann) = Side::new(ANN, inviter, &bridges);
        let (bob, from_bob) = Side::new(BOB, invitee, &bridges);
        deliver(from_ann, ANN, &bob);
        deliver(from_bob, BOB, &ann);
        ann.hub.invite(None, BOB, "netmeeting").unwrap();
        Self {
            dir,
            ann,
            bob,
            inviter,
            invitee,
        }
    }

    /// Bob hangs up, and all programs end.
    async fn hang_up(mut self, programs: &[&str]) {
        self.bob.hub.typed(self.bob.account, ANN, "/hangup");
        for (side, program) in [&mut self.bob, &mut self.ann].into_iter().zip(programs) {
            let gone = |what: &What| matches!(what, What::ProgramEnded { program: it, .. } if it == program);
            side.until(program, gone).await;
        }
        self.ann.hub.shutdown().await;
        self.bob.hub.shutdown().await;
    }
}

/// A listener that keeps what it hears in `heard`.
fn listener(dir: &Path) -> String {
    let heard = dir.join("heard");
    format!(
        "[[handoff]]\nname = \"listener\"\nadapter = \"listen\"\n\
         run = [\"ncat\", \"-l\", \"-k\", \"-o\", \"{}\", \"{{own.ip}}\", \"{{own.port}}\"]\n",
        heard.display()
    )
}

/// Asterisk as the one that calls.
fn caller(chroot: &Path, dir: &Path) -> String {
    format!(
        "[[handoff]]\nname = \"caller\"\nadapter = \"call\"\nwatch = \"netmeeting\"\nprobe = \"tcp\"\n\
         run = [\"{ASTERISK}\", \"{}\", \"{}\", \"call\", \"{{own.ip}}\", \"{{peer.ip}}\", \"{{peer.port}}\"]\n",
        chroot.display(),
        dir.join("caller").display(),
    )
}

/// One that would call, but waits.
const PATIENT: &str = "[[handoff]]\nname = \"patient\"\nadapter = \"call\"\nwatch = \"netmeeting\"\n\
                       wait = 600\nrun = [\"ncat\", \"{peer.ip}\", \"{peer.port}\"]\n";

fn said(text: &'static str) -> impl Fn(&What) -> bool {
    move |what| match what {
        What::Progress(line) => line.contains(text),
        What::Ended { reason, .. } => panic!("{text:?} was not said before the end: {reason}"),
        _ => false,
    }
}

async fn connect(from: Ipv4Addr, to: (Ipv4Addr, u16)) -> TcpStream {
    within("a connection", async {
        loop {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind((from, 0).into()).unwrap();
            match socket.connect(to.into()).await {
                Ok(stream) => return stream,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    })
    .await
}

#[test]
fn an_accepted_invitation_becomes_a_call_to_the_address_that_was_told() {
    alone(async || {
        let (Some(chroot), true) = (chroot(), support::have(&["ncat", "tshark", "text2pcap"]))
        else {
            return;
        };
        let pair = Pair::new(|dir, _| listener(dir) + &caller(&chroot, dir));
        let heard = pair.dir.path().join("heard");
        let setup = until("the whole Setup", || {
            let heard = fs::read(&heard).unwrap_or_default();
            let length = tpkt::length(*heard.first_chunk()?).unwrap();
            (heard.len() >= length).then_some(heard)
        })
        .await;
        let fields = [
            "q931.message_type",
            "q931.display_information",
            "h225.setup_element",
            "h225.ipV4",
            "h225.ipV4_port",
            "_ws.malformed",
        ];
        let read = dissected(pair.dir.path(), 1720, &setup, &fields).await;
        let (to, from) = (pair.inviter, pair.invitee);
        assert!(
            read.starts_with(&format!("0x05|Ann|1|{to},{from}|1720,")) && read.ends_with('|'),
            "{read}"
        );
        pair.hang_up(&["caller", "listener"]).await;
    });
}

#[test]
fn two_real_programs_hear_each_other_and_the_end_of_the_call_ends_both_sessions() {
    alone(async || {
        let Some(chroot) = chroot() else { return };
        let mut pair = Pair::new(|dir, invitee| {
            for (name, hz) in [("caller", 440.0), ("called", 880.0)] {
                fs::create_dir(dir.join(name)).unwrap();
                sound::write_tone(&dir.join(name).join("tone.wav"), hz, 3.0);
            }
            let (root, folder) = (chroot.display(), dir.join("called"));
            let called = format!(
                "[[handoff]]\nname = \"called\"\nadapter = \"listen\"\n\
             run = [\"{ASTERISK}\", \"{root}\", \"{}\", \"listen\", \"{{own.ip}}\", \"{{own.port}}\", \"{invitee}\"]\n",
                folder.display()
            );
            called + &caller(&chroot, dir)
        });
        let gone = |what: &What| matches!(what, What::ProgramEnded { program, how } if program == "caller" && how == "it finished");
        pair.bob.until("the end of the call", gone).await;
        let gone = |what: &What| matches!(what, What::ProgramEnded { .. });
        pair.ann.until("the end of the callee", gone).await;
        let heard = |name| Heard::read(&pair.dir.path().join(name).join("heard.wav"));
        heard("called").assert_tone("the one who invited", 440.0, 880.0, 2.0);
        heard("caller").assert_tone("the one who called", 880.0, 440.0, 2.0);
        pair.ann.hub.shutdown().await;
        pair.bob.hub.shutdown().await;
    });
}

#[test]
fn a_peer_that_calls_as_well_is_told_that_we_are_busy_and_why() {
    alone(async || {
        let (Some(chroot), true) = (chroot(), support::have(&["ncat"])) else {
            return;
        };
        let mut pair = Pair::new(|dir, _| listener(dir) + PATIENT);
        let connected = |what: &What| matches!(what, What::Connected { .. });
        pair.bob.until("the handshake", connected).await;
        // The watch is there as soon as it takes a connection; one without a word is nothing.
        drop(connect(pair.inviter, (pair.invitee, 1720)).await);
        let folder = pair.dir.path().join("crossing");
        fs::create_dir(&folder).unwrap();
        let (own, peer) = (pair.inviter.to_string(), pair.invitee.to_string());
        // Ann's address has its port 1720 taken, which a caller of Asterisk's binds as well.
        let other = ["31720"];
        let arguments = [chroot.to_str().unwrap(), folder.to_str().unwrap(), "call"];
        let arguments = [&arguments[..], &[&own, &peer, "1720"], &other].concat();
        let mut asterisk = Child::start(ASTERISK, arguments, &folder);
        let words = "Ann calls with NetMeeting; our own call is used";
        pair.bob.until(words, said(words)).await;
        asterisk.wait().await;
        let log = fs::read_to_string(folder.join("log/full")).unwrap();
        assert!(log.contains("the call failed: BUSY 17"), "{log}");

        // T.120 is noticed, and the session goes on.
        let mut t120 = connect(pair.inviter, (pair.invitee, 1503)).await;
        t120.write_all(&[3, 0, 0, 11, 6, 0xe0, 0, 0, 0, 0, 0])
            .await
            .unwrap();
        let closed = within("its end", t120.read(&mut [0; 9])).await;
        assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
        pair.bob.until("the words", said("the call goes on")).await;
        // A stranger that calls gets no answer, not even "busy".
        let mut stranger = connect(address(), (pair.invitee, 1720)).await;
        let setup = [3, 0, 0, 9, 8, 2, 0x12, 0x34, 5];
        // It may have been turned away before.
        let _ = stranger.write_all(&setup).await;
        let closed = within("its end", stranger.read(&mut [0; 9])).await;
        assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
        pair.bob.hub.typed(pair.bob.account, ANN, "/hangup");
        let ended = |what: &What| matches!(what, What::Ended { .. });
        pair.bob.until("the end", ended).await;
        pair.ann.hub.shutdown().await;
        pair.bob.hub.shutdown().await;
    });
}

#[test]
fn without_a_program_it_is_refused_as_not_installed_and_nothing_is_asked() {
    alone(async || {
        if !support::have(&["ncat"]) {
            return;
        }
        // As on a machine that has none of them.
        let none: String = [
            "simph323",
            "Ekiga",
            "GnomeMeeting",
            "GnomeMeeting, old",
            "ohphone",
            "msn-handoff, with your phone",
        ]
        .map(|name| format!("[[handoff]]\nname = \"{name}\"\nenabled = false\n"))
        .concat();
        let mut pair = Pair::new(|dir, _| listener(dir) + &none);
        let refused = |what: &What| match what {
            What::Ended { reason, .. } => {
                assert_eq!(reason, "the contact has no program for it");
                true
            }
            _ => false,
        };
        pair.ann.until("the refusal", refused).await;
        // What bob's side did meanwhile: nothing that a person would see before the refusal.
        let told = pair.bob.events.try_recv().map(|event| event.what);
        assert!(matches!(told, Err(_) | Ok(What::Ended { .. })), "{told:?}");
        pair.ann.hub.shutdown().await;
        pair.bob.hub.shutdown().await;
    });
}

#[test]
fn the_documented_examples_amend_the_bridge() {
    let page = include_str!("../../docs/applications/netmeeting.md");
    let examples = page.split("```toml\n").skip(1);
    let dir = tempfile::tempdir().unwrap();
    let amendments = dir.path().join("netmeeting.d");
    fs::create_dir(&amendments).unwrap();
    for (number, example) in examples.enumerate() {
        let file = amendments.join(format!("{number}.toml"));
        fs::write(file, example.split("```").next().unwrap()).unwrap();
    }
    let registry = Registry::load(&[dir.path().to_owned()]).unwrap();
    let netmeeting = registry.iter().find(|it| it.application.id == "netmeeting");
    let names: Vec<&str> = netmeeting
        .unwrap()
        .handoffs
        .iter()
        .map(|it| it.name.as_str())
        .collect();
    assert_eq!(names[..2], ["my exchange", "my exchange, called"]);
    assert_eq!(netmeeting.unwrap().unclaimed, Unclaimed::Pass);
}

#[test]
fn wireshark_reads_the_answer() {
    alone(async || {
        if !support::have(&["tshark", "text2pcap"]) {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let call = q931::read_setup(&[8, 2, 0x12, 0x34, 5]).unwrap();
        let fields = [
            "q931.message_type",
            "q931.call_ref",
            "q931.call_ref_flag",
            "q931.cause_value",
            "h225.releaseComplete_element",
            "h225.reason",
            "_ws.malformed",
        ];
        let answer = h323::turned_away(&call);
        assert_eq!(
            dissected(dir.path(), 1720, &answer, &fields).await,
            "0x5a|1234|1|17|1|3|"
        );
    });
}
