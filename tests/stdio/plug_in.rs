//! The plug-in in `contrib/python`, in the client it comes with, at a real server: a contact's call
//! is taken, and ended from either side; the contact is called.

use std::{net::Ipv4Addr, path::Path};

use msn_handoff::demo::{
    client::ClientSettings,
    server::{Server, ServerSettings},
};
use rustix::process::Signal;

use crate::{
    peer::Peer,
    stage::{PEER, USER, furnish, variables},
    support::{
        child::Child,
        handset::Handset,
        have,
        sound::{Heard, write_tone},
        until, within,
    },
};

/// What each side plays, in Hz.
const THEIRS: f64 = 440.0;
const OURS: f64 = 880.0;
/// So many packets are three seconds.
const PACKETS: usize = 150;

struct Stage {
    home: tempfile::TempDir,
    server: Server,
    client: Child,
    peer: Peer,
}

impl Stage {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let says = home.path().join("says.wav");
        write_tone(&says, OURS, 60.0);
        // What is announced is the address that the client tells.
        let config = format!(
            "control.enabled = false\nnetwork.allow = [\"127.0.0.0/8\"]\n\
             [call]\nwait = 10\nplay = {says:?}\n[recordings]\nfolder = {:?}\n",
            home.path().join("heard")
        );
        furnish(home.path(), &config);
        let server = Server::start(ServerSettings {
            versions: vec![7],
            redirect: true,
            strict: true,
            ..ServerSettings::default()
        })
        .await
        .unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/python/small_client.py");
        let at = server.ns_addr().to_string();
        let handoff = format!("\"{}\" --log info", env!("CARGO_BIN_EXE_msn-handoff"));
        // Nothing is written beside the script.
        let script = script.to_str().unwrap();
        let arguments = ["-B", script, &at, USER, "--handoff", &handoff];
        let variables = variables(home.path());
        let mut variables: Vec<(&str, &str)> = variables
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        variables.push(("MSN_PASSWORD", "secret"));
        let mut client = Child::start_with("python3", arguments, home.path(), &variables);
        client.printed("* signed in as ann@example.com").await;
        let peer = Peer::with(ClientSettings {
            version: 7,
            ..ClientSettings::new(server.ns_addr(), PEER)
        })
        .await;
        Self {
            home,
            server,
            client,
            peer,
        }
    }

    async fn types(&mut self, text: &str) {
        self.client.say(&format!("{PEER} {text}")).await;
    }

    /// What the built-in agent recorded.
    fn heard(&self) -> Heard {
        let files = std::fs::read_dir(self.home.path().join("heard")).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|end| end == "wav"));
        assert_eq!(files.len(), 1, "{files:?}");
        Heard::read(&files[0])
    }

    async fn end(mut self) {
        self.peer.client.sign_out().await;
        self.client.terminate().await;
        self.server.stop().await;
    }
}

/// The phone plays its tone, and hears for long enough.
async fn talk(phone: &mut Handset, at: std::net::SocketAddr) {
    phone.media.play(THEIRS, at);
    phone.media.packets(PACKETS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_taken_and_hung_up_and_all_are_told() {
    if !have(&["python3"]) {
        return;
    }
    let mut stage = Stage::new().await;
    let mut phone = Handset::open().await;
    stage.peer.client.send_text(USER, "hello").await.unwrap();
    stage.client.printed("<bob@example.com> hello").await;
    stage.peer.invites().await;
    stage.client.printed("Type /accept").await;
    stage.types("/accept").await;
    let ours = stage.peer.gets("ACCEPT").await.address();
    assert_eq!(ours.ip(), Ipv4Addr::LOCALHOST);
    stage.peer.completes(phone.port()).await;
    phone.calls(ours).await;
    let answer = phone.gets("200", "INVITE").await;
    phone.confirms(&answer).await;
    talk(&mut phone, answer.media()).await;
    stage.types("/hangup").await;
    let bye = phone.gets("BYE", "BYE").await;
    phone.replies(&bye, "200 OK", false).await;
    stage
        .client
        .printed("* bob@example.com, voice call: ended")
        .await;
    stage.types("bye").await;
    let lines = until("the last line", || {
        let lines = stage.peer.lines();
        (!lines.is_empty()).then_some(lines)
    })
    .await;
    assert_eq!(lines, ["bye"], "commands are not sent");
    assert!(!stage.client.output().contains("something unknown"));
    phone
        .media
        .heard()
        .assert_tone("the peer", OURS, THEIRS, 2.0);
    stage.heard().assert_tone("the agent", THEIRS, OURS, 2.0);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contact_is_called_and_told_when_the_client_ends() {
    if !have(&["python3"]) {
        return;
    }
    let mut stage = Stage::new().await;
    let mut phone = Handset::open().await;
    stage.types("/invite voice").await;
    let invitation = stage.peer.gets("INVITE").await;
    stage.peer.accepts(&invitation, phone.port()).await;
    let ours = stage.peer.gets("ACCEPT").await.address();
    phone.calls(ours).await;
    let answer = phone.gets("200", "INVITE").await;
    phone.confirms(&answer).await;
    talk(&mut phone, answer.media()).await;
    stage.client.printed("voice call: connected").await;
    stage.client.signal(Signal::TERM);
    let bye = phone.gets("BYE", "BYE").await;
    phone.replies(&bye, "200 OK", false).await;
    stage.peer.gets("CANCEL").await;
    assert_eq!(
        stage.client.wait().await,
        Some(0),
        "{}",
        stage.client.output()
    );
    phone
        .media
        .heard()
        .assert_tone("the peer", OURS, THEIRS, 2.0);
    stage.heard().assert_tone("the agent", THEIRS, OURS, 2.0);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_there_is_tried_again() {
    if !have(&["python3"]) {
        return;
    }
    let mut stage = Stage::new().await;
    let mut tap = stage.server.tap();
    stage.client.say("nobody@example.com /invite voice").await;
    // msn-handoff has been told of the first loss, so it tries again.
    within("two calls", async {
        let mut calls = 0;
        while calls < 2 {
            let line = tap.recv().await.unwrap().line();
            calls += usize::from(line.starts_with("CAL ") && line.contains("nobody@example.com"));
        }
    })
    .await;
    stage.client.say("nobody@example.com /hangup").await;
    stage
        .client
        .printed("* nobody@example.com, voice call: ended")
        .await;
    stage.end().await;
}
