//! A client that starts us itself: the Python client of `contrib/`, at a real server, takes a voice
//! call; and what a client must not do.

use std::{net::Ipv4Addr, path::Path, process::Stdio, sync::Arc};

use msn_handoff::{
    bridge::Registry,
    config::Call,
    consent::Rules,
    demo::{
        client::{Client, ClientSettings, join},
        server::{Server, ServerSettings},
    },
    dispatcher::{Dispatcher, Settings},
    endpoint::policy::Policy,
    event::{SignalKind, What},
    negotiation,
};
use serde_json::{Value, json};

use crate::support;
use crate::support::within;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

const USER: &str = "ann@example.com";
const PEER: &str = "bob@example.com";
const BINARY: &str = env!("CARGO_BIN_EXE_msn-handoff");

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

/// A configuration in which the built-in agent takes calls.
fn home() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let bridges = dir.path().join("msn-handoff/bridges");
    std::fs::create_dir_all(&bridges).unwrap();
    std::fs::write(bridges.join("voice.toml"), VOICE).unwrap();
    dir
}

/// A program that is talked with in lines.
struct Talk {
    child: Child,
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Talk {
    fn start(program: &str, arguments: &[&str], home: &Path) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .env("XDG_CONFIG_HOME", home)
            .env("XDG_DATA_HOME", home)
            .env("XDG_RUNTIME_DIR", home)
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            input: child.stdin.take(),
            child,
            lines,
        }
    }

    async fn says(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(line.as_bytes()).await.unwrap();
        input.write_all(b"\n").await.unwrap();
        input.flush().await.unwrap();
    }

    async fn line(&mut self) -> String {
        let line = within("a line", self.lines.next_line()).await.unwrap();
        line.expect("it still talks")
    }

    async fn until(&mut self, part: &str) -> String {
        loop {
            let line = self.line().await;
            if line.contains(part) {
                return line;
            }
        }
    }

    async fn json(&mut self) -> Value {
        serde_json::from_str(&self.line().await).unwrap()
    }

    async fn asks(&mut self, request: Value) -> Value {
        self.says(&request.to_string()).await;
        self.json().await
    }

    /// Closes its input and waits for its end; what it still said.
    async fn end(mut self) -> (Vec<String>, Option<i32>) {
        self.input.take();
        let mut rest = Vec::new();
        while let Some(line) = within("the end", self.lines.next_line()).await.unwrap() {
            rest.push(line);
        }
        let status = within("its end", self.child.wait()).await.unwrap();
        (rest, status.code())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_client_takes_a_call_and_ends_it() {
    if !support::have(&["python3"]) {
        return;
    }
    let (ours, theirs) = (home(), home());
    let server = Server::start(ServerSettings::default()).await.unwrap();
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/contrib/clients/minimal_client.py"
    );
    let at = server.ns_addr().to_string();
    let mut ann = Talk::start("python3", &[script, &at, USER, BINARY], ours.path());
    ann.until("signed in").await;

    let hub = Dispatcher::start(Settings {
        registry: Arc::new(Registry::load(&[theirs.path().join("msn-handoff/bridges")]).unwrap()),
        rules: Rules::default(),
        policy: Policy::new(Ipv4Addr::LOCALHOST, Vec::new()),
        announce: Ipv4Addr::LOCALHOST,
        ports: None,
        lookout: msn_handoff::endpoint::outside::Lookout::default(),
        recordings: theirs.path().join("recordings"),
        call: Call::default(),
        bandwidth: msn_handoff::media::limit::Bandwidth::default(),
        unclaimed: None,
        negotiation: negotiation::Settings::default(),
    });
    let mut events = hub.events();
    let (contact, letters) = Client::login(ClientSettings::new(server.ns_addr(), PEER))
        .await
        .unwrap();
    let (_, mut letters) = join(&contact, letters, Arc::new(hub.clone()));
    let mut until = async |what: &str, wanted: fn(&What) -> bool| {
        within(what, async {
            while !wanted(&events.recv().await.unwrap().what) {}
        })
        .await;
    };

    // Ordinary chat goes both ways as ever.
    contact.send_text(USER, "hello").await.unwrap();
    assert_eq!(ann.line().await, format!("{PEER}: hello"));
    ann.says(&format!("{PEER}: hello yourself")).await;
    let heard = within("the chat", async {
        loop {
            let event = letters.recv().await.unwrap();
            if let Some(text) = event.text() {
                return text;
            }
        }
    })
    .await;
    assert_eq!(heard, "hello yourself");

    hub.invite(None, USER, "voice").unwrap();
    ann.until("bob@example.com invites you to a voice call")
        .await;
    ann.says(&format!("{PEER}: /accept")).await;
    ann.until("the call is on").await;
    until(
        "the sound",
        |what| matches!(what, What::Signal(signal) if signal.kind == SignalKind::Media),
    )
    .await;
    ann.says(&format!("{PEER}: /hangup")).await;
    let over = ann.until("is over").await;
    assert!(over.contains("ended here"), "{over}");
    until("the end", |what| matches!(what, What::Ended { .. })).await;

    // And the other way; the client leaves in the middle of it.
    ann.says(&format!("{PEER}: /invite voice")).await;
    until("the offer", |what| *what == What::Offered).await;
    let (_, code) = ann.end().await;
    assert_eq!(code, Some(0));
    until("its end", |what| matches!(what, What::Ended { .. })).await;
    hub.shutdown().await;
    contact.sign_out().await;
}

/// An invitation as a contact's client writes it.
fn offer(cookie: u32) -> String {
    format!(
        "MIME-Version: 1.0\r\nContent-Type: text/x-msmsgsinvite; charset=UTF-8\r\n\r\n\
         Application-Name: x\r\nApplication-GUID: {{02D3C01F-BF30-4825-A83A-DE7AF41648AA}}\r\n\
         Session-Protocol: SM1\r\nSession-ID: {{FA0A4C0B-65C1-4CAF-BE35-7F2F3B4F8B12}}\r\n\
         Invitation-Command: INVITE\r\nInvitation-Cookie: {cookie}\r\n\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_the_protocol_is_answered() {
    let home = home();
    let arguments = ["stdio", "--announce", "127.0.0.1"];
    let mut talk = Talk::start(BINARY, &arguments, home.path());
    assert_eq!(talk.json().await["protocol"], 1);

    let early = json!({"id": 1, "told": "typed", "to": PEER, "text": "x"});
    assert_eq!(
        talk.asks(early).await["error"]["reason"],
        "nobody-signed-in"
    );
    let wrong = talk
        .asks(json!({"id": 2, "told": "signed-in", "account": "me"}))
        .await;
    assert_eq!(wrong["error"]["reason"], "no-account");
    let sign_in = json!({"id": 3, "told": "signed-in", "account": USER});
    assert_eq!(talk.asks(sign_in.clone()).await, json!({"id": 3, "ok": {}}));
    assert_eq!(talk.asks(sign_in).await["error"]["reason"], "signed-in");
    for nonsense in ["{", "7", r#"{"told":"dance"}"#, r#"{"verb":"dance"}"#] {
        talk.says(nonsense).await;
        assert_eq!(
            talk.json().await["error"]["reason"],
            "unreadable",
            "{nonsense}"
        );
    }

    let other = json!({"id": 4, "told": "message", "from": PEER, "payload": "x\r\n\r\ny"});
    assert_eq!(talk.asks(other).await, json!({"id": 4, "verdict": "pass"}));
    let chat = json!({"id": 5, "told": "typed", "to": PEER, "text": "hello"});
    assert_eq!(talk.asks(chat).await, json!({"id": 5, "verdict": "pass"}));

    assert_eq!(talk.asks(json!({"id": 6, "verb": "events"})).await["id"], 6);
    let invited = json!({"id": 7, "told": "message", "from": PEER, "payload": offer(7)});
    talk.says(&invited.to_string()).await;
    let (mut shown, mut taken, mut offered) = (false, false, None);
    for _ in 0..3 {
        let line = talk.json().await;
        shown |= line["show"]["line"]
            .as_str()
            .is_some_and(|it| it.contains("/accept"));
        taken |= line["verdict"] == "taken";
        if line["event"]["kind"] == "offered" {
            offered = line["event"]["invitation"].as_str().map(str::to_owned);
        }
    }
    assert!(shown && taken, "shown {shown}, taken {taken}");
    let invitation = offered.expect("the event");
    talk.says(&json!({"id": 8, "verb": "accept", "invitation": invitation}).to_string())
        .await;
    let sent = talk.until("\"send\"").await;
    let sent: Value = serde_json::from_str(&sent).unwrap();
    let payload = sent["send"]["payload"].as_str().unwrap();
    assert!(payload.contains("Invitation-Command: ACCEPT"), "{payload}");
    assert!(payload.contains("IP-Address: 127.0.0.1:"), "{payload}");
    assert_eq!(sent["send"]["delivery"], invitation);

    // The client leaves: the contact is told, and the process ends.
    let (rest, code) = talk.end().await;
    assert_eq!(code, Some(0));
    let told = rest
        .iter()
        .any(|line| line.contains("Invitation-Command: CANCEL"));
    assert!(told, "{rest:?}");
    let ended = rest.iter().any(|line| line.contains("\"kind\":\"ended\""));
    assert!(ended, "{rest:?}");
}
