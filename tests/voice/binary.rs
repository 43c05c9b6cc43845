//! The binary itself in a call: told to stop, and killed.

use std::{fs, net::SocketAddr, path::Path};

use msn_handoff::demo::{
    client::{Client, ClientSettings},
    server::{Server, ServerSettings},
};
use rustix::process::Signal;

use crate::{
    agent::{self, Agent, OURS},
    peer::{Happened, Peer},
    stage::{PACKETS, PEER, THEIRS, USER, group},
    support::{child::Child, handset::Handset, have, until},
};

/// The proxy as a user starts it, with a baresip for calls and a configuration file.
async fn start(home: &Path, server: SocketAddr) -> (Child, SocketAddr) {
    let binary = env!("CARGO_BIN_EXE_msn-handoff");
    let args = ["--log", "info", "proxy"];
    let folder = home.join(".config/msn-handoff");
    Agent::Baresip.write_bridge(
        &folder.join("bridges"),
        &home.join("says.wav"),
        OURS,
        &home.join("heard"),
    );
    let configuration = format!(
        "[proxy]\nlisten = \"127.0.0.1:0\"\nserver = \"{server}\"\n\
         [network]\nannounce = \"127.0.0.1\"\n[call]\nwait = 10\n"
    );
    fs::write(folder.join("config.toml"), configuration).unwrap();
    let mut child = Child::start(binary, args, home);
    child.printed(" ready listen=").await;
    let at = child
        .output()
        .split_once(" ready listen=")
        .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
    (child, at.unwrap())
}

/// A call that stands, through the binary.
struct Standing {
    home: tempfile::TempDir,
    server: Server,
    binary: Child,
    user: Client,
    peer: Peer,
    phone: Handset,
    pid: u32,
}

impl Standing {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let server = Server::start(ServerSettings {
            strict: true,
            ..ServerSettings::default()
        })
        .await
        .unwrap();
        let (binary, at) = start(home.path(), server.ns_addr()).await;
        let (user, events) = Client::login(ClientSettings::new(at, USER)).await.unwrap();
        let window = Happened::listen(events);
        let peer = Peer::new(&server).await;
        let mut phone = Handset::open().await;
        peer.invites().await;
        until("the question", || {
            let asked = |line: &String| line.contains("Type /accept");
            window.lines().iter().any(asked).then_some(())
        })
        .await;
        user.send_text(PEER, "/accept").await.unwrap();
        let ours = peer.gets("ACCEPT").await.address();
        peer.completes(phone.port()).await;
        phone.calls(ours).await;
        let answer = phone.gets("200", "INVITE").await;
        phone.confirms(&answer).await;
        phone.media.play(THEIRS, answer.media());
        phone.media.packets(PACKETS).await;
        let log = binary.output();
        let pid = log
            .split_once("pid: ")
            .and_then(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()).next())
            .and_then(|digits| digits.parse().ok())
            .unwrap_or_else(|| panic!("no pid in {log}"));
        assert!(!group(pid).is_empty());
        Self {
            home,
            server,
            binary,
            user,
            peer,
            phone,
            pid,
        }
    }

    async fn close(self) {
        self.user.sign_out().await;
        self.peer.client.sign_out().await;
        self.server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_binary_told_to_stop_in_a_call_ends_it_on_all_sides() {
    if !have(&["baresip"]) {
        return;
    }
    let mut standing = Standing::new().await;
    standing.binary.signal(Signal::TERM);
    let phone = &standing.phone;
    let bye = phone.gets("BYE", "BYE").await;
    phone.replies(&bye, "200 OK", false).await;
    let cancel = standing.peer.gets("CANCEL").await;
    assert_eq!(cancel.get("Cancel-Code"), "OUTBANDCANCEL");
    let code = standing.binary.wait().await;
    assert_eq!(code, Some(0), "{}", standing.binary.output());
    assert!(group(standing.pid).is_empty(), "baresip still runs");
    let heard = phone.media.heard();
    heard.assert_tone("the peer", OURS, THEIRS, 2.0);
    agent::heard_in(&standing.home.path().join("heard")).assert_tone("baresip", THEIRS, OURS, 2.0);
    standing.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_binary_killed_in_a_call_takes_its_phone_along() {
    if !have(&["baresip"]) {
        return;
    }
    let mut standing = Standing::new().await;
    standing.binary.signal(Signal::KILL);
    assert_eq!(standing.binary.wait().await, None);
    let pid = standing.pid;
    until("the end of baresip", || group(pid).is_empty().then_some(())).await;
    let (mut next, _) = start(standing.home.path(), standing.server.ns_addr()).await;
    next.signal(Signal::TERM);
    assert_eq!(next.wait().await, Some(0), "{}", next.output());
    standing.close().await;
}
