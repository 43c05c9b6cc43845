//! What a person sees of hostile text: one line in the chat window, on the control socket and in a
//! notification, without control characters and without what turns the direction of writing.

use msn_handoff::{control::protocol::Happened, dispatcher::Invitations as _, event::What, shown};

use crate::{
    support::sides::{ANN, Side, address},
    texts::hostile,
};

/// What may not be on a screen.
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

fn invitation(cookie: usize, name: &str, more: &str) -> Vec<u8> {
    // A line is a line: what the text has of them are further fields.
    format!(
        "MIME-Version: 1.0\r\nContent-Type: text/x-msmsgsinvite; charset=UTF-8\r\n\r\n\
         Application-Name: {name}\r\n\
         Application-GUID: {{44BBA842-CC51-11CF-AAFA-00AA00B6015C}}\r\n\
         Session-Protocol: SM1\r\nInvitation-Command: INVITE\r\nInvitation-Cookie: {cookie}\r\n\
         Session-ID: {{11112222-3333-4444-5555-666677778888}}\r\n{more}\r\n"
    )
    .into_bytes()
}

#[tokio::test]
async fn whatever_a_contact_and_its_application_are_called_it_is_one_clean_line() {
    let folder = tempfile::tempdir().unwrap();
    let bridges = folder.path().join("bridges");
    std::fs::create_dir(&bridges).unwrap();
    // Without a program nothing would be offered: this one is never started.
    std::fs::write(bridges.join("netmeeting.toml"), NETMEETING).unwrap();
    let (mut ann, mut letters) = Side::asking(ANN, address(), &bridges);
    let mut offered = 0;
    for (cookie, text) in hostile().iter().enumerate() {
        for peer in ["bob@example.com", text] {
            let before = ann.shown().len();
            let cancel =
                format!("Cancel-Code: {text}\r\nContext-Data: {text}\r\nIP-Address: {text}\r\n");
            let payload = invitation(cookie + 1, text, &cancel);
            let _ = ann.hub.received(ann.account, peer, &payload);
            let shown = ann.shown();
            let line = shown.get(before..).unwrap().trim_start_matches('\n');
            offered += usize::from(line.contains("invites you"));
            assert!(!line.chars().any(misleads), "{peer:?}: {line:?}");
            assert!(
                line.chars().count() < 600,
                "{} characters",
                line.chars().count()
            );
            for open in ann.hub.open() {
                let _ = ann.hub.decline(open.invitation);
            }
        }
    }
    assert!(offered > 60, "{offered}");
    // The same on the control socket: one line of JSON for each event.
    while let Ok(event) = ann.events.try_recv() {
        if let What::Ended { reason, .. } = &event.what {
            assert!(!reason.chars().any(misleads), "{reason:?}");
        }
        let told = Happened::of(&event).map(|it| serde_json::to_string(&it).unwrap());
        assert!(told.is_none_or(|line| !line.contains(['\n', '\r', '\0'])));
    }
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
