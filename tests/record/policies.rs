//! What becomes of an invitation that no bridge describes, and of what is no invitation at all.

use msn_handoff::{bridge::Unclaimed, dispatcher::Verdict, event::What};

use crate::stage::{Bob, Setup};

fn invite(guid: &str, more: &str) -> Vec<u8> {
    format!(
        "MIME-Version: 1.0\r\nContent-Type: text/x-msmsgsinvite; charset=UTF-8\r\n\r\n\
         Application-Name: A G\u{202e}ame\u{7}\r\nApplication-GUID: {guid}\r\n{more}\
         Invitation-Command: INVITE\r\nInvitation-Cookie: 4711\r\n\r\n"
    )
    .into_bytes()
}

const UNKNOWN: &str = "{8F6D0000-1111-2222-3333-444444444444}";
const SM1: &str = "Session-Protocol: SM1\r\nSession-ID: {00000000-1111-2222-3333-555555555555}\r\n";

fn has(payload: &[u8], text: &str) -> bool {
    memchr::memmem::find(payload, text.as_bytes()).is_some()
}

#[tokio::test]
async fn an_unknown_application_goes_to_the_client_unless_configured_otherwise() {
    let mut bob = Bob::new(&Setup::default());
    assert_eq!(bob.receives(&invite(UNKNOWN, SM1)), Verdict::Pass);
    assert!(bob.is_silent());
    assert_eq!(bob.shown(), "");
}

#[tokio::test]
async fn an_unknown_application_may_be_refused() {
    let mut bob = Bob::new(&Setup {
        unknown: Unclaimed::Refuse,
        ..Setup::default()
    });
    assert_eq!(bob.receives(&invite(UNKNOWN, SM1)), Verdict::Taken);
    let answer = bob.letter().await;
    for line in [
        "Invitation-Command: CANCEL\r\n",
        "Invitation-Cookie: 4711\r\n",
        "Cancel-Code: REJECT_NOT_INSTALLED\r\n",
    ] {
        assert!(has(&answer, line), "{}", answer.escape_ascii());
    }
}

#[tokio::test]
async fn an_unknown_application_is_recorded_after_consent_in_its_own_dialect() {
    for (more, session) in [(SM1, true), ("", false)] {
        let mut bob = Bob::new(&Setup {
            unknown: Unclaimed::Record,
            ..Setup::default()
        });
        assert_eq!(bob.receives(&invite(UNKNOWN, more)), Verdict::Taken);
        let question = bob.shown();
        assert!(
            question.contains("invites you to A Game (unknown here)"),
            "{question}"
        );
        assert!(question.contains("only recorded"), "{question}");
        assert!(bob.is_silent());
        bob.types("/accept unknown-8f6d");
        let listening = |what: &What| match what {
            What::Listening { at } => Some(at.clone()),
            _ => None,
        };
        let at = bob.until("the port", listening).await;
        let answer = bob.letter().await;
        let shown = answer.escape_ascii().to_string();
        assert!(has(&answer, "Invitation-Command: ACCEPT\r\n"), "{shown}");
        assert!(has(&answer, &format!("IP-Address: {at}\r\n")), "{shown}");
        assert_eq!(has(&answer, "Session-ID: "), session, "{shown}");
        bob.types("/decline");
    }
}

#[tokio::test]
async fn an_unknown_application_may_be_declined() {
    let mut bob = Bob::new(&Setup {
        unknown: Unclaimed::Record,
        ..Setup::default()
    });
    assert_eq!(bob.receives(&invite(UNKNOWN, SM1)), Verdict::Taken);
    bob.types("/decline unknown");
    assert!(has(&bob.letter().await, "Cancel-Code: REJECT\r\n"));
}

#[tokio::test]
async fn a_known_application_without_a_program_may_be_recorded() {
    let bob = Bob::new(&Setup {
        unclaimed: Some(Unclaimed::Record),
        ..Setup::default()
    });
    // Whiteboard, or whatever has no program: a game of nobody's.
    let game = "{A5794C17-F586-4941-9906-9AF0F8E62283}";
    assert_eq!(bob.receives(&invite(game, "")), Verdict::Taken);
    let question = bob.shown();
    assert!(question.contains("Jedi"), "{question}");
    assert!(question.contains("only recorded"), "{question}");
}

/// Bridge files that would take file transfer away from the client.
const GREEDY: &str = r#"
[[handoff]]
name = "mine"
adapter = "record"
"#;

#[tokio::test]
async fn file_transfer_goes_to_the_client_whatever_is_configured() {
    let hidden = "id = \"file-transfer\"\nenabled = false\n";
    let own = format!(
        "id = \"mine\"\nname = \"x\"\nguids = [\"5d3e02ab-6190-11d3-bbbb-00c04f795683\"]\n\
         announce = \"x\"\n[negotiation]\naddress = \"ip:port\"\n{GREEDY}"
    );
    let sets: [&[(&str, &str)]; 3] = [
        &[],
        &[("a.toml", hidden)],
        &[("a.toml", hidden), ("b.toml", &own)],
    ];
    for files in sets {
        for unknown in [Unclaimed::Pass, Unclaimed::Refuse, Unclaimed::Record] {
            let mut bob = Bob::new(&Setup {
                unknown,
                unclaimed: Some(unknown),
                files,
                allow: true,
            });
            for guid in [
                "{5D3E02AB-6190-11d3-BBBB-00C04F795683}",
                "5d3e02ab-6190-11d3-bbbb-00c04f795683",
            ] {
                // By its fields it would be recognised too: without them the GUID alone tells.
                for file in ["Application-File: a.txt\r\nApplication-FileSize: 3\r\n", ""] {
                    assert_eq!(bob.receives(&invite(guid, file)), Verdict::Pass);
                }
            }
            assert!(bob.is_silent());
            assert_eq!(bob.shown(), "");
        }
    }
}

#[tokio::test]
async fn what_is_not_understood_goes_to_the_client() {
    let mut bob = Bob::new(&Setup {
        unknown: Unclaimed::Record,
        unclaimed: Some(Unclaimed::Record),
        allow: true,
        ..Setup::default()
    });
    let no_guid = String::from_utf8(invite(UNKNOWN, "")).unwrap();
    let no_guid = no_guid.replace("Application-GUID", "Application-Guild");
    let other = |command: &str| {
        String::from_utf8(invite(UNKNOWN, SM1))
            .unwrap()
            .replace("INVITE", command)
    };
    let no_dialect = String::from_utf8(invite(UNKNOWN, SM1)).unwrap();
    let no_dialect = no_dialect.replace(": SM1", ": SM9");
    for payload in [
        "",
        &no_dialect,
        "nonsense",
        "MIME-Version: 1.0\r\nContent-Type: text/x-msmsgsinvite\r\n\r\n",
        &no_guid,
        &other("ACCEPT"),
        &other("CANCEL"),
        &other("SING"),
    ] {
        assert_eq!(bob.receives(payload.as_bytes()), Verdict::Pass, "{payload}");
    }
    assert!(bob.is_silent());
    assert_eq!(bob.shown(), "");
}
