//! The program itself at the other end of a pipe, told line by line.

use std::process::Stdio;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::{
    stage::{PEER, USER, furnish, variables},
    support::within,
};

const INVITE: &str = include_str!("../vectors/O3.msg");

pub(crate) struct Pipe {
    pub(crate) child: Child,
    pub(crate) input: Option<ChildStdin>,
    pub(crate) lines: Option<Lines<BufReader<ChildStdout>>>,
    _home: tempfile::TempDir,
}

impl Pipe {
    pub(crate) async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        furnish(home.path(), "control.enabled = false\n");
        let mut child = Command::new(env!("CARGO_BIN_EXE_msn-handoff"))
            .args(["stdio", "--announce", "127.0.0.1"])
            .envs(variables(home.path()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut pipe = Self {
            input: child.stdin.take(),
            lines: child.stdout.take().map(|out| BufReader::new(out).lines()),
            child,
            _home: home,
        };
        let greeting = pipe.line().await.unwrap();
        assert_eq!(greeting["protocol"], 1);
        assert_eq!(greeting["version"], env!("CARGO_PKG_VERSION"));
        pipe
    }

    /// One whose user has signed in, and which tells events.
    pub(crate) async fn signed_in() -> Self {
        let mut pipe = Self::new().await;
        let line = json!({"told": "signed-in", "account": USER});
        assert_eq!(pipe.asks(line).await["ok"], json!({}));
        assert_eq!(pipe.asks(json!({"verb": "events"})).await["ok"], json!({}));
        pipe
    }

    /// The next line; none when the program has closed its side.
    pub(crate) async fn line(&mut self) -> Option<Value> {
        let lines = self.lines.as_mut().unwrap();
        let line = within("a line", lines.next_line()).await.unwrap()?;
        Some(serde_json::from_str(&line).unwrap())
    }

    pub(crate) async fn says(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().unwrap();
        input.write_all(bytes).await.unwrap();
        input.write_all(b"\n").await.unwrap();
    }

    /// The answer; what else comes before it is dropped.
    pub(crate) async fn asks(&mut self, request: Value) -> Value {
        self.says(request.to_string().as_bytes()).await;
        self.until(|line| line.get("id").is_some()).await
    }

    pub(crate) async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = self.line().await.expect("its output is open");
            if wanted(&line) {
                return line;
            }
        }
    }

    pub(crate) async fn until_event(&mut self, kind: &str) -> Value {
        let line = self.until(|line| line["event"]["kind"] == kind).await;
        line["event"].clone()
    }

    /// The next invitation message that is to be sent, with that command.
    pub(crate) async fn until_sends(&mut self, command: &str) -> Value {
        let wanted = format!("Invitation-Command: {command}\r\n");
        let is_it = |line: &Value| {
            let payload = line["send"]["payload"].as_str();
            payload.is_some_and(|payload| payload.contains(&wanted))
        };
        self.until(is_it).await["send"].clone()
    }

    /// Everything until the program closes its side, and its exit code.
    pub(crate) async fn end(mut self) -> (Vec<Value>, Option<i32>) {
        let mut rest = Vec::new();
        while self.lines.is_some()
            && let Some(line) = self.line().await
        {
            rest.push(line);
        }
        let status = within("its end", self.child.wait()).await.unwrap();
        (rest, status.code())
    }

    /// The peer's invitation to talk, which is accepted.
    pub(crate) async fn accepted(&mut self) -> Value {
        let answer = self
            .asks(json!({"id": 1, "told": "message", "from": PEER, "payload": INVITE}))
            .await;
        assert_eq!(answer, json!({"id": 1, "verdict": "taken"}));
        let offered = self.until_event("offered").await;
        let answer = self
            .asks(json!({"verb": "accept", "invitation": offered["invitation"]}))
            .await;
        assert_eq!(answer["ok"], json!({}), "{answer}");
        let sends = self.until_sends("ACCEPT").await;
        assert_eq!(sends["to"], PEER);
        assert_eq!(sends["delivery"], offered["invitation"]);
        offered
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_answered_and_nothing_after_it_is_lost() {
    let mut pipe = Pipe::new().await;
    for (line, reason, part) in [
        (&b"{"[..], "unreadable", "no JSON object"),
        (b"\xff", "unreadable", "not UTF-8"),
        (&vec![b'x'; 200_000], "unreadable", "longer than 16384"),
        (b"{\"verb\":\"dance\"}", "unreadable", "unknown variant"),
        (b"{\"told\":\"dance\"}", "unreadable", "unknown variant"),
        (b"{\"told\":\"typed\",\"to\":\"a@b\"}", "unreadable", "text"),
        (b"{\"told\":\"signed-in\"}", "unreadable", "account"),
        (b"{\"told\":\"signed-out\"}", "nobody-signed-in", "tell"),
        (
            b"{\"told\":\"signed-in\",\"account\":\"a b@c\"}",
            "no-account",
            "address",
        ),
    ] {
        pipe.says(line).await;
        let answer = pipe.line().await.unwrap();
        assert_eq!(answer["error"]["reason"], reason, "{answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains(part), "{message}");
    }
    pipe.says(b"\r\n").await;
    let mut listed = pipe.asks(json!({"id": [7], "verb": "list"})).await;
    // How many they are is no matter here.
    let tasks = listed["ok"].as_object_mut().unwrap().remove("tasks");
    assert!(tasks.is_some_and(|tasks| tasks.is_u64()));
    assert_eq!(
        listed,
        json!({"id": [7], "ok": {"accounts": [], "invitations": []}})
    );
    // A line that has no end is one as well, when nothing follows.
    let mut input = pipe.input.take().unwrap();
    input.write_all(b"{\"verb\":\"list\"}").await.unwrap();
    drop(input);
    let (rest, code) = pipe.end().await;
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0]["ok"]["accounts"], json!([]));
    assert_eq!(code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_ours_is_passed_and_what_is_lost_ends() {
    let mut pipe = Pipe::signed_in().await;
    for (told, part, text) in [
        ("typed", "text", "hello"),
        (
            "message",
            "payload",
            "Content-Type: text/plain\r\n\r\nhello",
        ),
        ("message", "payload64", "/w=="),
        ("message", "payload", &"x".repeat(10_000)),
    ] {
        let mut line = json!({"id": 3, "told": told, "from": PEER, "to": PEER});
        line[part] = json!(text);
        let answer = pipe.asks(line).await;
        assert_eq!(answer, json!({"id": 3, "verdict": "pass"}));
    }
    let none = json!({"told": "message", "from": PEER, "payload64": "?"});
    assert_eq!(pipe.asks(none).await["error"]["reason"], "unreadable");

    // The invitation did not arrive, and is tried again.
    let invite = json!({"verb": "invite", "peer": PEER, "application": "voice"});
    let invited = pipe.asks(invite).await["ok"]["invitation"].clone();
    let lost = json!({"told": "undelivered", "delivery": invited});
    assert_eq!(pipe.asks(lost).await["ok"], json!({}));
    assert_eq!(pipe.until_sends("INVITE").await["delivery"], invited);
    let hang_up = json!({"verb": "hangup", "invitation": invited});
    pipe.says(hang_up.to_string().as_bytes()).await;
    assert_eq!(pipe.until_event("ended").await["invitation"], invited);

    // A payload may come in base64, too, and the machine behind a handle does not count.
    pipe.accepted().await;
    let cancel = "MIME-Version: 1.0\r\nContent-Type: text/x-msmsgsinvite; charset=UTF-8\r\n\r\n\
                  Invitation-Command: CANCEL\r\nInvitation-Cookie: 24443504\r\n\
                  Cancel-Code: TIMEOUT\r\n\r\n";
    let cancel = json!({
        "told": "message",
        "from": format!("{PEER};{{machine}}"),
        "payload64": BASE64_STANDARD.encode(cancel),
    });
    assert_eq!(pipe.asks(cancel).await["verdict"], "taken");
    pipe.until_event("ended").await;
}
