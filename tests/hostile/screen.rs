//! What a person sees of hostile text: one line in the chat window, on the control socket and in a
//! notification, without control characters and without what turns the direction of writing. Hooks and
//! the bus get the very texts of the control socket.

use std::path::Path;

use msn_handoff::{
    control::protocol::{Happened, Listed},
    dispatcher::{Invitations as _, Verdict},
    endpoint::socket,
    event::What,
    shown,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixStream,
};

use crate::{
    support::sides::{ANN, BOB, Side, address},
    texts::hostile,
    wire::within,
};

/// What may not be on a screen.
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// As whoever reads the JSON gets it: what it says escaped is not escaped any more.
fn assert_clean(told: &Value) {
    match told {
        Value::String(text) => {
            assert!(!text.chars().any(misleads), "{text:?}");
            assert!(text.len() < 2_000, "{} bytes", text.len());
        }
        Value::Array(all) => all.iter().for_each(assert_clean),
        Value::Object(all) => all.values().for_each(assert_clean),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn message(command: &str, cookie: usize, more: &str) -> Vec<u8> {
    format!(
        "MIME-Version: 1.0\r\nContent-Type: text/x-msmsgsinvite; charset=UTF-8\r\n\r\n\
         Invitation-Command: {command}\r\nInvitation-Cookie: {cookie}\r\n\
         Session-ID: {{11112222-3333-4444-5555-666677778888}}\r\n{more}\r\n"
    )
    .into_bytes()
}

fn invitation(cookie: usize, text: &str) -> Vec<u8> {
    // A line is a line: what the text has of them are further fields.
    let more = format!(
        "Application-Name: {text}\r\n\
         Application-GUID: {{44BBA842-CC51-11CF-AAFA-00AA00B6015C}}\r\n\
         Session-Protocol: SM1\r\nContext-Data: {text}\r\nIP-Address: {text}\r\n"
    );
    message("INVITE", cookie, &more)
}

#[tokio::test]
async fn whatever_a_contact_and_its_application_are_called_it_is_one_clean_line() {
    let folder = tempfile::tempdir().unwrap();
    let bridges = folder.path().join("bridges");
    std::fs::create_dir(&bridges).unwrap();
    // Without a program nothing would be offered: this one is never started.
    std::fs::write(bridges.join("netmeeting.toml"), NETMEETING).unwrap();
    let (mut ann, mut letters) = Side::asking(ANN, address(), &bridges);
    let (mut offered, mut cancelled, mut nobodys) = (0, 0, 0);
    for (cookie, text) in (1..).zip(hostile()) {
        for peer in [BOB, &text] {
            let before = ann.shown().len();
            let verdict = ann
                .hub
                .received(ann.account, peer, &invitation(cookie, &text));
            if !shown::is_word(peer) {
                // The client may have it; to us it is nobody.
                assert_eq!(verdict, Verdict::Pass, "{peer:?}");
                assert_eq!(ann.shown().len(), before, "{peer:?}");
                assert!(ann.hub.open().is_empty(), "{peer:?}");
                assert!(ann.events.try_recv().is_err(), "{peer:?}");
                nobodys += 1;
                continue;
            }
            for open in ann.hub.open() {
                assert_clean(&serde_json::to_value(Listed::from(open)).unwrap());
            }
            let cancel = message("CANCEL", cookie, &format!("Cancel-Code: {text}\r\n"));
            let _ = ann.hub.received(ann.account, peer, &cancel);
            for open in ann.hub.open() {
                let _ = ann.hub.decline(open.invitation);
            }
            let shown = ann.shown();
            for line in shown.get(before..).unwrap().lines() {
                offered += usize::from(line.contains("invites you"));
                assert!(!line.chars().any(misleads), "{peer:?}: {line:?}");
                let length = line.chars().count();
                assert!(length < 600, "{length} characters");
            }
            while let Ok(event) = ann.events.try_recv() {
                if let What::Ended { reason, .. } = &event.what {
                    cancelled += usize::from(reason.contains("the contact cancelled"));
                }
                if let Some(told) = Happened::of(&event) {
                    assert_clean(&serde_json::to_value(told).unwrap());
                }
            }
        }
    }
    assert!(offered > 60, "{offered}");
    assert!(cancelled > 60, "{cancelled}");
    assert!(nobodys > 15, "{nobodys}");
    while let Ok(payload) = letters.try_recv() {
        let text = String::from_utf8(payload).unwrap();
        // What we answer repeats nothing but the cookie and the session.
        assert!(
            !text.contains("reboot") && !text.contains("$(id)"),
            "{text}"
        );
    }
    ann.hub.shutdown().await;
}

#[test]
fn every_hostile_text_is_one_line_and_bounded_when_shown() {
    for text in hostile() {
        let line = shown::line(&text, 80);
        assert!(
            line.chars().count() <= 80 && !line.chars().any(misleads),
            "{line:?}"
        );
    }
}

/// An invitation of which every word is that text.
fn listed(number: usize, text: &str) -> Value {
    json!({
        "invitation": format!("1.{number}"), "account": text, "peer": text, "application": text,
        "name": text, "role": text, "state": text, "asks": true,
    })
}

fn happened(text: &str) -> Value {
    json!({"event": {
        "kind": text, "invitation": "1.1", "account": text, "peer": text, "application": text,
        "name": text, "role": text, "takes": text, "address": text, "lies": text,
        "program": text, "text": text,
    }})
}

/// What listens in the place of a running msn-handoff: every word it says is hostile.
async fn answer(stream: UnixStream) {
    let (reader, mut writer) = stream.into_split();
    let mut requests = BufReader::new(reader).lines();
    let mut lines = vec![json!({"protocol": 1, "version": "\u{1b}c"})];
    let mut goes = false;
    loop {
        for line in lines.drain(..) {
            let line = format!("{line}\n");
            writer.write_all(line.as_bytes()).await.unwrap();
        }
        if goes {
            return;
        }
        let Some(request) = requests.next_line().await.unwrap() else {
            return;
        };
        let request: Value = serde_json::from_str(&request).unwrap();
        let (id, texts) = (&request["id"], hostile());
        match request["verb"].as_str().unwrap() {
            "list" => {
                let all: Vec<Value> = (1..)
                    .zip(&texts)
                    .map(|(number, text)| listed(number, text))
                    .collect();
                let ok = json!({"accounts": ["\u{202e}me", "a\nb"], "invitations": all});
                lines.push(json!({"id": id, "ok": ok}));
            }
            "events" => {
                lines.push(json!({"id": id, "ok": {}}));
                lines.extend(texts.iter().map(|text| happened(text)));
                goes = true;
            }
            "hangup" => {
                let why = texts.concat();
                let error = json!({"reason": why, "message": why});
                lines.push(json!({"id": id, "error": error}));
            }
            _ => lines.push(json!({"id": id, "ok": {}})),
        }
    }
}

/// What that verb prints.
async fn printed(arguments: &[&str], socket: &Path) -> (String, String) {
    #[allow(clippy::disallowed_methods, reason = "a test's own program")]
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_msn-handoff"))
        .env("HOME", socket.parent().unwrap())
        .env("XDG_CONFIG_HOME", socket.parent().unwrap())
        .args(arguments)
        .arg("--socket")
        .arg(socket)
        .kill_on_drop(true)
        .output();
    let output = within("its end", output).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr))
}

/// The command line trusts no socket: whoever has its place may say anything.
#[tokio::test]
async fn whatever_the_control_socket_says_the_command_line_prints_clean_lines() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("control");
    let listener = socket::unix_listen(&place).await.unwrap();
    let serving = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(stream));
        }
    });
    let many = hostile().len();
    for (arguments, lines) in [
        (&["list"][..], 1 + many),
        (&["events", "--follow"], many),
        (&["decline", "1.30"], 1),
        (&["accept"], 0),
        (&["hangup", "1.30"], 0),
    ] {
        let (out, error) = printed(arguments, &place).await;
        assert_eq!(
            out.lines().count(),
            lines,
            "{arguments:?}: {out:?} {error:?}"
        );
        assert_eq!(
            error.lines().count(),
            usize::from(lines == 0 || lines == many),
            "{error:?}"
        );
        for line in out.lines().chain(error.lines()) {
            assert!(!line.chars().any(misleads), "{arguments:?}: {line:?}");
        }
    }
    serving.abort();
}

const NETMEETING: &str = r#"
id = "netmeeting"
name = "NetMeeting"
guids = ["{44BBA842-CC51-11CF-AAFA-00AA00B6015C}"]
announce = "NetMeeting"
[negotiation]
port = { fixed = 1720, transport = "tcp" }
[[handoff]]
name = "a program"
adapter = "call"
run = ["true", "{peer.ip}"]
"#;
