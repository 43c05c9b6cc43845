//! The whole way: an invitation typed in a chat window, through two proxies, to a call between a
//! terminal of the shape of NetMeeting at one end and our own H.323 with a real phone at the other.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use msn_handoff::{
    adapter::h323::{q931, tpkt},
    demo::{
        client::{Client, ClientEvent, ClientSettings},
        server::{Server, ServerSettings},
    },
    event::What,
};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
};

use crate::{
    Pair,
    agent::{self, Agent},
    connect, listener, said,
    support::{
        self,
        child::Child,
        namespace::alone,
        pycrate::pycrate,
        sides::{ANN, BOB, address},
        until, within,
    },
};

/// What the phone plays, in Hz, and what the terminal does.
const OURS: f64 = 660.0;
const THEIRS: f64 = 880.0;
const PEER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/netmeeting/peer.py");

/// Somebody with our proxy, at an address of their own.
struct Person {
    home: TempDir,
    proxy: Child,
    client: Client,
    window: mpsc::UnboundedReceiver<ClientEvent>,
}

impl Person {
    async fn new(
        handle: &str,
        ip: Ipv4Addr,
        server: SocketAddr,
        bridges: impl FnOnce(&Path),
    ) -> Self {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(".config/msn-handoff");
        fs::create_dir_all(folder.join("bridges")).unwrap();
        bridges(home.path());
        let configuration = format!(
            "[proxy]\nlisten = \"{ip}:0\"\nserver = \"{server}\"\n[network]\nannounce = \"{ip}\"\n"
        );
        fs::write(folder.join("config.toml"), configuration).unwrap();
        let binary = env!("CARGO_BIN_EXE_msn-handoff");
        let mut proxy = Child::start(binary, ["--log", "info", "proxy"], home.path());
        proxy.printed(" ready listen=").await;
        let output = proxy.output();
        let (_, at) = output.split_once(" ready listen=").unwrap();
        let at = at.split(' ').next().unwrap().parse().unwrap();
        let (client, window) = Client::login(ClientSettings::new(at, handle))
            .await
            .unwrap();
        Self {
            home,
            proxy,
            client,
            window,
        }
    }

    async fn types(&self, to: &str, line: &str) {
        self.client.send_text(to, line).await.unwrap();
    }

    async fn reads(&mut self, words: &str) {
        let mut seen = Vec::new();
        let reading = async {
            while let Some(event) = self.window.recv().await {
                if let Some(line) = event.text() {
                    if line.contains(words) {
                        return true;
                    }
                    seen.push(line);
                }
            }
            false
        };
        let read = tokio::time::timeout(support::LIMIT, reading).await;
        let outcome = fs::read_to_string(self.home.path().join("outcome.json"));
        assert!(
            matches!(read, Ok(true)),
            "{words:?} in {seen:#?}, {outcome:?}\n{}",
            self.proxy.output()
        );
    }

    async fn leaves(mut self) -> TempDir {
        self.client.sign_out().await;
        self.proxy.signal(Signal::TERM);
        assert_eq!(self.proxy.wait().await, Some(0), "{}", self.proxy.output());
        self.home
    }
}

/// Ann's side hands NetMeeting to the terminal.
fn terminal(home: &Path, pycrate: &Path) {
    let folder = home.join(".config/msn-handoff/bridges/netmeeting.d");
    fs::create_dir(&folder).unwrap();
    let out = home.join("outcome.json");
    let handoff = |name: &str, adapter: &str, does: &str| {
        format!(
            "[[handoff]]\nname = \"{name}\"\nadapter = \"{adapter}\"\n\
             run = [\"python3\", \"{PEER}\", {does}, \"--film\", \"--tone\", \"{THEIRS}\", \"--out\", \"{}\"]\n\
             env = {{ PYTHONPATH = \"{}\" }}\n",
            out.display(),
            pycrate.display()
        )
    };
    let called = handoff(
        "NetMeeting, called",
        "listen",
        "\"listen\", \"{own.ip}\", \"{own.port}\"",
    );
    let calls = handoff(
        "NetMeeting",
        "call",
        "\"call\", \"{own.ip}\", \"{peer.ip}\", \"{peer.port}\"",
    );
    fs::write(folder.join("terminal.toml"), called + &calls).unwrap();
}

/// How many packets of H.263 Wireshark sees in a file.
async fn pictures(file: &Path, dir: &Path) -> usize {
    let file = file.to_str().unwrap();
    let filter = "rtp.p_type == 34 && rfc2190";
    let rtp = [
        "-o",
        "rtp.heuristic_rtp:TRUE",
        "--enable-heuristic",
        "rtp_udp",
    ];
    let arguments = [&rtp[..], &["-r", file, "-Y", filter]].concat();
    let mut tshark = Child::start("tshark", arguments, dir);
    assert_eq!(tshark.wait().await, Some(0), "{}", tshark.output());
    tshark
        .output()
        .lines()
        .filter(|line| line.contains("H.263"))
        .count()
}

/// Both hear each other, and the picture of one is kept by the other. `ours` is invited, or invites.
async fn both_hear_each_other(we_invite: bool) {
    let (Some(pycrate), true) = (
        pycrate(),
        support::have(&["python3", "baresip", "ffmpeg", "tshark"]),
    ) else {
        return;
    };
    let server = Server::start(ServerSettings {
        strict: true,
        ..ServerSettings::default()
    })
    .await
    .unwrap();
    let at = server.ns_addr();
    let theirs = |home: &Path| terminal(home, &pycrate);
    let mut ann = Person::new(ANN, Ipv4Addr::new(127, 0, 0, 2), at, theirs).await;
    let ours = |home: &Path| {
        let bridges = home.join(".config/msn-handoff/bridges");
        // The shipped bridge has the same last resort for a picture.
        let picture =
            "[[handoff]]\nname = \"kept\"\nadapter = \"sip\"\nmedium = \"video\"\nbuiltin = true\n";
        let more = bridges.join("voice.d");
        fs::create_dir(&more).unwrap();
        fs::write(more.join("picture.toml"), picture).unwrap();
        Agent::Baresip.write_bridge(&bridges, &home.join("says.wav"), OURS, &home.join("heard"));
    };
    let mut bob = Person::new(BOB, Ipv4Addr::LOCALHOST, at, ours).await;
    let (inviter, invited, names) = match we_invite {
        true => (&bob, &mut ann, (ANN, BOB)),
        false => (&ann, &mut bob, (BOB, ANN)),
    };
    inviter.types(names.0, "/invite netmeeting").await;
    invited.reads("Type /accept").await;
    invited.types(names.1, "/accept").await;
    bob.reads("baresip has it").await;
    if !we_invite {
        // The terminal does not hang up when it is called.
        let heard = bob.home.path().join("heard");
        until("three seconds", || {
            let mut files = fs::read_dir(&heard).ok()?.flatten();
            let long = |file: fs::DirEntry| file.metadata().is_ok_and(|it| it.len() > 3 * 16_000);
            files.any(long).then_some(())
        })
        .await;
        bob.types(ANN, "/hangup").await;
    }
    bob.reads("is over").await;
    let outcome = ann.home.path().join("outcome.json");
    let outcome = until("the outcome", || {
        serde_json::from_slice(&fs::read(&outcome).ok()?).ok()
    });
    let outcome: serde_json::Value = outcome.await;
    let levels = &outcome["levels"];
    assert!(levels["660"].as_f64().unwrap() > -10.0, "{outcome:#}");
    assert!(levels["880"].as_f64().unwrap() < -40.0, "{outcome:#}");
    assert!(outcome["seconds"].as_f64().unwrap() > 1.5, "{outcome:#}");
    agent::heard_in(&bob.home.path().join("heard")).assert_tone("the phone", THEIRS, OURS, 1.5);
    let said = outcome["said"].as_array().unwrap().iter();
    let said: Vec<&str> = said.map(|it| it.as_str().unwrap()).collect();
    // Who hears of the end first differs.
    let end = said.iter().position(|it| it.ends_with("endSessionCommand"));
    insta::assert_snapshot!(
        if we_invite {
            "we_are_called"
        } else {
            "we_call"
        },
        said[..end.unwrap()].join("\n")
    );
    drop(ann.leaves().await);
    // The recording is whole when the program has ended.
    let home = bob.leaves().await;
    let folder = home.path().join(".local/share/msn-handoff/recordings");
    let mut files = fs::read_dir(&folder).unwrap().flatten();
    let picture = files.find(|it| it.path().extension().is_some_and(|it| it == "pcap"));
    let picture = picture.unwrap().path();
    // Enough for a second of a picture, of which each frame takes a packet or more.
    assert!(pictures(&picture, home.path()).await > 15);
    within("the server's end", server.stop()).await;
}

#[test]
fn a_netmeeting_that_is_invited_calls_us_and_the_phone_talks_to_it() {
    alone(async || both_hear_each_other(true).await);
}

#[test]
fn a_netmeeting_that_invites_is_called_and_the_phone_talks_to_it() {
    alone(async || both_hear_each_other(false).await);
}

/// Whoever was invited is called here, though it should call: so Kopete does it.
pub(crate) const WAITING: &str =
    "[[handoff]]\nname = \"msn-handoff, with your phone\"\nwait = 600\n";

#[test]
fn one_that_calls_although_it_invited_is_taken_and_a_second_call_is_turned_away() {
    alone(async || {
        let (Some(pycrate), true) = (pycrate(), support::have(&["python3", "ncat", "socat"]))
        else {
            return;
        };
        // The built-in agent has the sound. Ann's side listens, and is not called.
        let mut pair = Pair::new(|dir, _| {
            let voice = dir.join("bridges/voice.d");
            fs::create_dir_all(&voice).unwrap();
            let first = "[[handoff]]\nname = \"first\"\nadapter = \"sip\"\nbuiltin = true\n";
            fs::write(voice.join("first.toml"), first).unwrap();
            let listens = listener(dir).replacen("\"listen\"", "\"listen\"\nrole = \"inviter\"", 1);
            listens + WAITING + "to = \"127.0.0.1:16030\"\n"
        });
        // It says what it hears.
        let echo = ["TCP-LISTEN:16030,bind=127.0.0.1", "PIPE"];
        let mut echo = Child::start("socat", echo, pair.dir.path());
        let connected = |what: &What| matches!(what, What::Connected { .. });
        pair.bob.until("the handshake", connected).await;
        // One that only looks whether somebody listens is no call.
        drop(connect(pair.inviter, (pair.invitee, 1720)).await);
        let folder = pair.dir.path().join("terminal");
        fs::create_dir(&folder).unwrap();
        let outcome = folder.join("outcome.json");
        let (own, peer) = (pair.inviter.to_string(), pair.invitee.to_string());
        let arguments = [
            PEER,
            "call",
            &own,
            &peer,
            "1720",
            "--seconds",
            "4",
            "--data",
            "--out",
        ];
        let arguments = [&arguments[..], &[outcome.to_str().unwrap()]].concat();
        let codecs = [("PYTHONPATH", pycrate.to_str().unwrap())];
        let mut terminal = Child::start_with("python3", arguments, &folder, &codecs);
        pair.bob.until("the call", said("NetMeeting calls")).await;
        pair.bob
            .until("sound", said("the built-in agent has it"))
            .await;

        let mut second = connect(pair.inviter, (pair.invitee, 1720)).await;
        second
            .write_all(&[3, 0, 0, 9, 8, 2, 0x12, 0x34, 5])
            .await
            .unwrap();
        let mut answer = vec![0; 100];
        let n = within("an answer", second.read(&mut answer)).await.unwrap();
        let busy = q931::read(&answer[tpkt::HEADER..n]).unwrap();
        assert_eq!(
            (busy.kind, busy.cause),
            (q931::kind::RELEASE_COMPLETE, Some(q931::cause::BUSY))
        );
        // A stranger's is closed without a word.
        let mut stranger = connect(address(), (pair.invitee, 1720)).await;
        let closed = within("its end", stranger.read(&mut answer)).await;
        assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");

        let over = |what: &What| match what {
            What::Ended { reason, .. } => {
                let heard = reason.contains("hung up there") && reason.contains("0.0 % lost");
                assert!(heard && reason.contains("recorded in"), "{reason}");
                true
            }
            _ => false,
        };
        pair.bob.until("the end", over).await;
        assert_eq!(terminal.wait().await, Some(0), "{}", terminal.output());
        let outcome: serde_json::Value =
            serde_json::from_slice(&fs::read(&outcome).unwrap()).unwrap();
        assert!(outcome["seconds"].as_f64().unwrap() > 3.0, "{outcome:#}");
        // What it said to the program behind, as T.120, and what came back.
        let said = outcome["said"].as_array().unwrap();
        assert!(
            said.contains(&"they data 0300000b06e00000000000".into()),
            "{outcome:#}"
        );
        echo.terminate().await;
        pair.ann.hub.shutdown().await;
        pair.bob.hub.shutdown().await;
    });
}

#[test]
fn what_is_no_call_ends_the_session_and_says_so() {
    alone(async || {
        if !support::have(&["ncat"]) {
            return;
        }
        let mut pair = Pair::new(|dir, _| {
            listener(dir).replacen("\"listen\"", "\"listen\"\nrole = \"inviter\"", 1) + WAITING
        });
        let connected = |what: &What| matches!(what, What::Connected { .. });
        pair.bob.until("the handshake", connected).await;
        let mut web = connect(pair.inviter, (pair.invitee, 1720)).await;
        web.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        let over = |what: &What| match what {
            What::Ended { reason, .. } => {
                assert!(reason.contains("could not be read"), "{reason}");
                true
            }
            _ => false,
        };
        pair.bob.until("the end", over).await;
        pair.ann.hub.shutdown().await;
        pair.bob.hub.shutdown().await;
    });
}

#[test]
fn the_documented_ladder_is_what_was_said() {
    let page = include_str!("../../docs/applications/netmeeting.md");
    let ladder = page.split("```text\n").nth(1).unwrap();
    let ladder = ladder.split("```").next().unwrap();
    let snapshot = include_str!("snapshots/netmeeting__peer__we_are_called.snap");
    let (_, said) = snapshot.rsplit_once("---\n").unwrap();
    let mut steps: Vec<&str> = said.lines().collect();
    // A second channel each way, for the picture, is one line on the page.
    steps.dedup();
    let drawn: Vec<String> = ladder
        .lines()
        .filter_map(|line| {
            let (_, step) = line.split_once(['├', '│'])?;
            let name: String = step
                .chars()
                .filter(|c| c.is_ascii_alphanumeric() || *c == ' ')
                .collect();
            let name = name.split_whitespace().next()?.to_owned();
            let ours = step.starts_with('◀');
            let is_step = step.starts_with(['─', '◀']) && !step.starts_with("◀═");
            is_step.then(|| format!("{} {name}", if ours { "they" } else { "we" }))
        })
        .collect();
    let end = drawn
        .iter()
        .position(|it| it.ends_with("endSessionCommand"));
    assert_eq!(drawn[..end.unwrap()], steps);
}
