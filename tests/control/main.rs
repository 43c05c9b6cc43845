//! The control socket as scripts use it: through socat, and through the command line.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    clippy::missing_panics_doc
)]

#[path = "../support/mod.rs"]
mod support;

use std::{
    net::Ipv4Addr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use msn_handoff::control::socket::Door;
use serde_json::{Value, json};
use support::{
    sides::{ANN, BOB, Side, deliver},
    within,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// The built-in agent takes calls; nothing is accepted without a question.
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

/// Ann and Bob, each with a control socket.
struct Stage {
    dir: tempfile::TempDir,
    ann: Side,
    bob: Side,
    stop: CancellationToken,
    serving: Vec<JoinHandle<()>>,
}

impl Stage {
    async fn new() -> Self {
        Self::with(ANN).await
    }

    /// With another one who invites.
    async fn with(inviter: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let bridges = dir.path().join("bridges");
        std::fs::create_dir(&bridges).unwrap();
        std::fs::write(bridges.join("voice.toml"), VOICE).unwrap();
        let (ann, from_ann) = Side::asking(inviter, Ipv4Addr::LOCALHOST, &bridges);
        let (bob, from_bob) = Side::asking(BOB, Ipv4Addr::LOCALHOST, &bridges);
        deliver(from_ann, inviter, &bob);
        deliver(from_bob, BOB, &ann);
        let mut stage = Self {
            dir,
            ann,
            bob,
            stop: CancellationToken::new(),
            serving: Vec::new(),
        };
        for (name, hub) in [
            ("ann", stage.ann.hub.clone()),
            ("bob", stage.bob.hub.clone()),
        ] {
            let door = Door::open(&stage.socket(name)).await.unwrap();
            let serving = tokio::spawn(door.serve(hub, stage.stop.clone()));
            stage.serving.push(serving);
        }
        stage
    }

    fn socket(&self, name: &str) -> PathBuf {
        self.dir.path().join("run").join(name)
    }

    /// Runs a verb of the command line.
    async fn cli(&self, name: &str, arguments: &[&str]) -> Output {
        let ran = Command::new(env!("CARGO_BIN_EXE_msn-handoff"))
            .args(arguments)
            .arg("--socket")
            .arg(self.socket(name))
            .env("XDG_CONFIG_HOME", self.dir.path())
            .stdin(Stdio::null())
            .output();
        within("the command line", ran).await.unwrap()
    }

    async fn says(&self, name: &str, arguments: &[&str]) -> String {
        let output = self.cli(name, arguments).await;
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    async fn end(self) {
        self.ann.hub.shutdown().await;
        self.bob.hub.shutdown().await;
        self.stop.cancel();
        for serving in self.serving {
            within("the end of a socket", serving).await.unwrap();
        }
    }
}

/// A script's connection.
struct Socat {
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Socat {
    fn new(socket: &Path) -> Self {
        let mut child = Command::new("socat")
            .arg("-")
            .arg(format!("UNIX-CONNECT:{}", socket.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            child,
            input,
            lines,
        }
    }

    async fn line(&mut self) -> Value {
        let line = within("a line", self.lines.next_line()).await.unwrap();
        serde_json::from_str(&line.expect("the connection is open")).unwrap()
    }

    async fn says(&mut self, line: &str) {
        self.input.write_all(line.as_bytes()).await.unwrap();
        self.input.write_all(b"\n").await.unwrap();
    }

    async fn asks(&mut self, request: Value) -> Value {
        self.says(&request.to_string()).await;
        loop {
            let line = self.line().await;
            if line.get("event").is_none() {
                return line;
            }
        }
    }

    /// The next event of that kind.
    async fn until(&mut self, kind: &str) -> Value {
        loop {
            let line = self.line().await;
            if line["event"]["kind"] == kind {
                return line["event"].clone();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_invites_and_another_accepts_and_both_see_everything() {
    if !support::have(&["socat"]) {
        return;
    }
    let stage = Stage::new().await;
    let mut ann = Socat::new(&stage.socket("ann"));
    let mut bob = Socat::new(&stage.socket("bob"));
    for socat in [&mut ann, &mut bob] {
        assert_eq!(socat.line().await["protocol"], 1);
        let subscribed = socat.asks(json!({"id": "e", "verb": "events"})).await;
        assert_eq!(subscribed, json!({"id": "e", "ok": {}}));
    }
    let asked = json!({"id": 2, "verb": "invite", "peer": BOB, "application": "voi"});
    ann.says(&asked.to_string()).await;
    // The offer is told before the answer or after it.
    let mut invitation = None;
    for _ in 0..2 {
        let line = ann.line().await;
        match line.get("ok") {
            Some(ok) => invitation = Some(ok["invitation"].clone()),
            None => assert_eq!(line["event"]["kind"], "offered"),
        }
    }
    let ours = invitation.expect("an answer");
    let offer = bob.until("offered").await;
    assert_eq!(offer["peer"], ANN);
    assert_eq!(offer["name"], "voice call");
    let listed = bob.asks(json!({"id": 3, "verb": "list"})).await;
    assert_eq!(listed["ok"]["accounts"], json!([BOB]));
    assert_eq!(listed["ok"]["invitations"][0]["asks"], true);
    let theirs = &listed["ok"]["invitations"][0]["invitation"];
    assert_eq!(*theirs, offer["invitation"]);
    bob.says(&json!({"id": 4, "verb": "accept", "invitation": theirs}).to_string())
        .await;
    let connected = bob.until("connected").await;
    assert_eq!(connected["lies"], "here");
    ann.until("connected").await;
    ann.says(&json!({"id": 5, "verb": "hangup", "invitation": ours}).to_string())
        .await;
    assert!(ann.until("ended").await["text"].is_string());
    bob.until("ended").await;
    let again = bob
        .asks(json!({"id": 6, "verb": "accept", "invitation": theirs}))
        .await;
    assert_eq!(again["error"]["reason"], "not-open", "{again}");
    stage.end().await;
    // The last events, then nothing: the connection is closed.
    let rest = async { while ann.lines.next_line().await.unwrap().is_some() {} };
    within("the end of the events", rest).await;
    within("socat's end", ann.child.wait()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_does_the_same() {
    let mut stage = Stage::new().await;
    assert_eq!(
        stage.says("ann", &["list"]).await,
        "signed in: ann@example.com\n"
    );
    let refused = stage.cli("ann", &["accept"]).await;
    assert_eq!(refused.status.code(), Some(1));
    let words = String::from_utf8(refused.stderr).unwrap();
    assert!(words.contains("no offer waits for an answer"), "{words}");

    let invited = stage.says("ann", &["invite", BOB, "voice", "--json"]).await;
    let invited: Value = serde_json::from_str(&invited).unwrap();
    let id = invited["invitation"].as_str().unwrap().to_owned();
    let offered = |what: &_| matches!(what, msn_handoff::event::What::Offered);
    stage.bob.until("the offer", offered).await;
    let listed = stage.says("bob", &["list"]).await;
    assert!(
        listed.contains("voice call from ann@example.com: offered; waits for accept or decline"),
        "{listed}"
    );
    assert_eq!(
        stage.says("bob", &["decline", ANN]).await,
        "voice call with ann@example.com: declined\n"
    );
    let ended = |what: &_| matches!(what, msn_handoff::event::What::Ended { .. });
    stage.ann.until("the end", ended).await;
    let gone = stage.cli("ann", &["hangup", &id]).await;
    let words = String::from_utf8(gone.stderr).unwrap();
    assert!(words.contains("no open invitation fits that"), "{words}");
    let unknown = stage.cli("ann", &["invite", BOB, "chess"]).await;
    let words = String::from_utf8(unknown.stderr).unwrap();
    assert!(
        words.contains("no application is called \"chess\""),
        "{words}"
    );
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_followed_from_the_command_line() {
    let stage = Stage::new().await;
    let mut following = Command::new(env!("CARGO_BIN_EXE_msn-handoff"))
        .args(["events", "--follow", "--json", "--socket"])
        .arg(stage.socket("bob"))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    // Until it has subscribed it misses what happens, so we go on inviting.
    let first = loop {
        let invited = stage.says("ann", &["invite", BOB, "voice", "--json"]).await;
        let invited: Value = serde_json::from_str(&invited).unwrap();
        let id = invited["invitation"].as_str().unwrap();
        stage.says("ann", &["hangup", id]).await;
        let wait = std::time::Duration::from_millis(300);
        if let Ok(line) = tokio::time::timeout(wait, lines.next_line()).await {
            break line.unwrap().unwrap();
        }
    };
    let first: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(first["peer"], ANN);
    stage.end().await;
    let status = within("its end", following.wait()).await.unwrap();
    assert_eq!(status.code(), Some(1));
}

/// The fenced script of the documentation.
fn documented() -> &'static str {
    let page = include_str!("../../docs/CONTROL.md");
    let script = page.rsplit("```sh\n").next().unwrap();
    script.split("```").next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_of_the_documentation_says_yes_for_you() {
    if !support::have(&["jq", "sh"]) {
        return;
    }
    let mut stage = Stage::with("alice@example.com").await;
    // Where the command line looks by itself.
    let usual = stage.dir.path().join("msn-handoff/control");
    let door = Door::open(&usual).await.unwrap();
    stage.serving.push(tokio::spawn(
        door.serve(stage.bob.hub.clone(), stage.stop.clone()),
    ));
    let binaries = Path::new(env!("CARGO_BIN_EXE_msn-handoff"))
        .parent()
        .unwrap();
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap());
    let mut script = Command::new("sh")
        .args(["-c", documented()])
        .env("PATH", path)
        .env("XDG_RUNTIME_DIR", stage.dir.path())
        .env("XDG_CONFIG_HOME", stage.dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    // Until it follows it misses what happens, so the invitation is made again.
    let yes = async {
        loop {
            let call = stage.ann.hub.invite(None, BOB, "voice").unwrap();
            let connected = |what: &_| matches!(what, msn_handoff::event::What::Connected { .. });
            let wait = std::time::Duration::from_secs(1);
            let until = stage.ann.until("a yes", connected);
            if tokio::time::timeout(wait, until).await.is_ok() {
                return;
            }
            stage.ann.hub.hang_up(call).unwrap();
        }
    };
    within("the script", yes).await;
    stage.end().await;
    within("its end", script.wait()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_answered_and_does_not_end_the_connection_unless_it_must() {
    if !support::have(&["socat"]) {
        return;
    }
    let stage = Stage::new().await;
    let mut bob = Socat::new(&stage.socket("bob"));
    bob.line().await;
    for nonsense in ["{", "[]", "null", "{\"verb\":\"dance\"}", "\u{7f}"] {
        bob.says(nonsense).await;
        assert_eq!(bob.line().await["error"]["reason"], "unreadable");
    }
    bob.says("").await;
    let listed = bob.asks(json!({"verb": "list"})).await;
    assert_eq!(listed["id"], Value::Null);
    assert_eq!(listed["ok"]["invitations"], json!([]));
    bob.says(&"x".repeat(20_000)).await;
    let refused = bob.line().await;
    assert!(
        refused["error"]["message"]
            .as_str()
            .unwrap()
            .contains("longer than")
    );
    assert_eq!(bob.lines.next_line().await.unwrap(), None);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_owner_gets_in_and_only_one_listens() {
    let stage = Stage::new().await;
    let socket = stage.socket("bob");
    let again = Door::open(&socket).await.unwrap_err();
    assert_eq!(again.kind(), std::io::ErrorKind::AddrInUse);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = socket.parent().unwrap();
    assert_eq!((mode(&socket), mode(folder)), (0o600, 0o700));

    // One that was left behind by a killed run does not keep the next one out.
    let left = stage.socket("left");
    drop(std::os::unix::net::UnixListener::bind(&left).unwrap());
    let door = Door::open(&left).await.unwrap();
    assert_eq!(mode(&left), 0o600);
    drop(door);
    assert!(!left.exists());

    let root = rustix::process::geteuid().is_root();
    if root && support::have(&["socat", "setpriv"]) {
        // Even where the folder and the socket let everybody in, which ours do not.
        for path in [stage.dir.path(), socket.parent().unwrap(), &socket] {
            let open = std::fs::Permissions::from_mode(0o777);
            std::fs::set_permissions(path, open).unwrap();
        }
        let mut command = Command::new("setpriv");
        command
            .args([
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
                "socat",
                "-",
            ])
            .arg(format!("UNIX-CONNECT:{}", socket.display()))
            .stdin(Stdio::piped())
            .kill_on_drop(true);
        let output = within("the stranger", command.output()).await.unwrap();
        assert_eq!(output.stdout, b"", "{output:?}");
        assert!(
            output.status.success(),
            "it was let in and got nothing: {output:?}"
        );
    }
    stage.end().await;
}
