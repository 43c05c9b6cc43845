//! The client and the server against each other.

use tokio::io::AsyncWriteExt;

use super::*;
use crate::demo::{
    server::{Server, ServerSettings},
    wire::{FrameReader, Side},
};
use crate::endpoint::socket;
use crate::negotiation::InvitationId;

const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";
const INVITE: &[u8] = include_bytes!("../../../tests/vectors/V1.msg");

type Events = mpsc::UnboundedReceiver<ClientEvent>;

fn people() -> Vec<(String, String)> {
    vec![
        (ANN.into(), "Ann Example".into()),
        (BOB.into(), "Bob".into()),
    ]
}

async fn server(settings: ServerSettings) -> Server {
    Server::start(ServerSettings {
        people: people(),
        ..settings
    })
    .await
    .unwrap()
}

async fn log_in(server: &Server, handle: &str, version: u8) -> (Client, Events) {
    let settings = ClientSettings {
        version,
        ..ClientSettings::new(server.ns_addr(), handle)
    };
    Client::login(settings).await.unwrap()
}

/// The next event `wanted` makes something of. Nothing here waits on a clock of its own: a
/// missing event ends the test by the limit.
async fn next<T>(events: &mut Events, wanted: impl Fn(&ClientEvent) -> Option<T>) -> T {
    let search = async {
        loop {
            let event = events.recv().await.expect("the client ended");
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), search)
        .await
        .expect("the event never came")
}

#[tokio::test]
async fn every_version_logs_in_sees_presence_and_chats_both_ways() {
    let server = server(ServerSettings::default()).await;
    for version in 2..=18 {
        let (bob, mut bob_events) = log_in(&server, BOB, 20 - version).await;
        let (ann, mut ann_events) = log_in(&server, ANN, version).await;
        let online = |who: &'static str| {
            move |event: &ClientEvent| match event {
                ClientEvent::Online { handle, .. } if handle == who => Some(()),
                _ => None,
            }
        };
        next(&mut ann_events, online(BOB)).await;
        next(&mut bob_events, online(ANN)).await;

        ann.send_text(BOB, "hello \u{e9}").await.unwrap();
        let (text, nick) = next(&mut bob_events, |event| match event {
            ClientEvent::Message { from, nick, .. } if from == ANN => {
                Some((event.text()?, nick.clone()))
            }
            _ => None,
        })
        .await;
        assert_eq!(
            (text.as_str(), nick.as_str()),
            ("hello \u{e9}", "Ann%20Example"),
            "MSNP{version}"
        );
        // The answer goes back through the same conversation.
        bob.send_text(ANN, "hi").await.unwrap();
        let text = next(&mut ann_events, ClientEvent::text).await;
        assert_eq!(text, "hi", "MSNP{version}");
        assert_eq!(server.sessions().len(), 1, "MSNP{version}");

        ann.sign_out().await;
        let gone = |event: &ClientEvent| match event {
            ClientEvent::Offline { handle } if handle == ANN => Some(()),
            _ => None,
        };
        next(&mut bob_events, gone).await;
        bob.sign_out().await;
        next(&mut bob_events, |event| {
            (*event == ClientEvent::SignedOut).then_some(())
        })
        .await;
        while !server.online().is_empty() {
            tokio::task::yield_now().await;
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_redirect_is_followed_in_the_form_of_each_version() {
    let server = server(ServerSettings {
        redirect: true,
        ..ServerSettings::default()
    })
    .await;
    for version in [2, 3, 7, 8, 12, 13, 15, 18] {
        let (ann, _events) = log_in(&server, ANN, version).await;
        assert_eq!(server.online(), [ANN], "MSNP{version}");
        ann.sign_out().await;
        while !server.online().is_empty() {
            tokio::task::yield_now().await;
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn the_highest_common_version_is_chosen_or_none() {
    let server = server(ServerSettings {
        versions: vec![8, 9],
        ..ServerSettings::default()
    })
    .await;
    let settings = ClientSettings::new(server.ns_addr(), ANN);
    let Err(error) = Client::login(settings).await else {
        panic!("MSNP12 was not on offer");
    };
    assert!(
        matches!(&error, ClientError::Refused { verb: "VER", answer } if answer == "VER 1 0"),
        "{error}"
    );
    let mut stream = socket::tcp_connect(server.ns_addr(), PATIENCE)
        .await
        .unwrap();
    stream
        .write_all(b"VER 1 MSNP18 MSNP8 MSNP9 MSNP7 CVR0\r\n")
        .await
        .unwrap();
    let mut reader = FrameReader::new(stream, Side::Server);
    let reply = reader.next().await.unwrap().unwrap();
    assert_eq!(reply.bytes(), b"VER 1 MSNP9\r\n");
}

#[tokio::test]
async fn an_invitation_arrives_byte_for_byte_and_through_the_carrier() {
    let server = server(ServerSettings::default()).await;
    let (_bob, mut bob_events) = log_in(&server, BOB, 11).await;
    let (ann, _ann_events) = log_in(&server, ANN, 15).await;
    let delivery = Delivery(InvitationId(7));
    Carrier::send(&ann, BOB, INVITE.to_vec(), delivery);
    Carrier::send(&ann, BOB, b"second".to_vec(), delivery);
    let payload = |event: &ClientEvent| match event {
        ClientEvent::Message { payload, .. } => Some(payload.clone()),
        _ => None,
    };
    assert_eq!(next(&mut bob_events, payload).await, INVITE);
    assert_eq!(next(&mut bob_events, payload).await, b"second");
    assert_eq!(server.sessions().len(), 1);
}

#[tokio::test]
async fn acknowledgements_follow_the_letter() {
    // What a raw switchboard connection gets back: alone in the room, and with somebody.
    let rows: &[(Letter, Option<&str>, Option<&str>)] = &[
        (Letter::U, None, None),
        (Letter::N, Some("NAK"), None),
        (Letter::A, Some("NAK"), Some("ACK")),
        (Letter::D, Some("NAK"), Some("ACK")),
        (Letter::S, None, Some("ACK")),
    ];
    let server = server(ServerSettings::default()).await;
    let (ann, _ann_events) = log_in(&server, ANN, 12).await;
    let (_bob, _bob_events) = log_in(&server, BOB, 12).await;
    let reply = ann
        .0
        .notification
        .ask("XFR", |trid| format!("XFR {trid} SB\r\n"))
        .await
        .unwrap();
    let stream = socket::tcp_connect(server.sb_addr(), PATIENCE)
        .await
        .unwrap();
    let (reading, mut writing) = stream.into_split();
    let mut reader = FrameReader::new(reading, Side::Server);
    writing
        .write_all(format!("USR 1 {ANN} {}\r\n", reply.word(5)).as_bytes())
        .await
        .unwrap();
    assert_eq!(reader.next().await.unwrap().unwrap().word(2), "OK");
    for alone in [true, false] {
        if !alone {
            writing
                .write_all(format!("CAL 2 {BOB}\r\n").as_bytes())
                .await
                .unwrap();
            for verb in ["CAL", "JOI"] {
                assert_eq!(reader.next().await.unwrap().unwrap().verb(), verb);
            }
        }
        for (letter, when_alone, when_heard) in rows {
            writing
                .write_all(&message(40, *letter, b"x"))
                .await
                .unwrap();
            // The next reply is to a question of known answer, so silence is seen at once.
            writing
                .write_all(format!("CAL 41 {ANN}\r\n").as_bytes())
                .await
                .unwrap();
            let mut got = Vec::new();
            loop {
                let frame = reader.next().await.unwrap().unwrap();
                if frame.bytes() == b"215 41\r\n" {
                    break;
                }
                assert_eq!(frame.word(1), "40");
                got.push(frame.verb().to_owned());
            }
            let want = if alone { when_alone } else { when_heard };
            assert_eq!(
                got.first().map(String::as_str),
                *want,
                "{letter:?}, alone: {alone}"
            );
        }
    }
}

#[tokio::test]
async fn a_strict_server_hangs_up_on_other_letters_and_on_long_payloads() {
    let rows: &[(Letter, usize, bool)] = &[
        (Letter::A, 1664, true),
        (Letter::A, 1665, false),
        (Letter::N, 10, true),
        (Letter::S, 10, false),
    ];
    for (letter, length, stays) in rows {
        let server = server(ServerSettings {
            strict: true,
            ..ServerSettings::default()
        })
        .await;
        let (ann, mut ann_events) = log_in(&server, ANN, 12).await;
        let (_bob, _bob_events) = log_in(&server, BOB, 12).await;
        ann.open(BOB).await.unwrap();
        let _ = ann.send_payload(BOB, *letter, &vec![b'x'; *length]).await;
        if *stays {
            ann.send_text(BOB, "still there").await.unwrap();
            assert_eq!(server.sessions().len(), 1);
        } else {
            next(&mut ann_events, |event| {
                matches!(event, ClientEvent::CarrierLost { peer } if peer == BOB).then_some(())
            })
            .await;
        }
    }
}

#[tokio::test]
async fn a_contact_who_is_offline_cannot_be_called() {
    let server = server(ServerSettings::default()).await;
    let (ann, mut events) = log_in(&server, ANN, 12).await;
    let error = ann.open(BOB).await.unwrap_err();
    assert!(
        matches!(&error, ClientError::Refused { verb: "CAL", answer } if answer.starts_with("217")),
        "{error}"
    );
    let delivery = Delivery(InvitationId(3));
    Carrier::send(&ann, BOB, INVITE.to_vec(), delivery);
    let lost = next(&mut events, |event| match event {
        ClientEvent::Undelivered { peer, delivery } => Some((peer.clone(), *delivery)),
        _ => None,
    })
    .await;
    assert_eq!(lost, (BOB.to_owned(), delivery));
}

#[tokio::test]
async fn a_cut_switchboard_is_told_and_the_next_message_opens_another() {
    let server = server(ServerSettings::default()).await;
    let (ann, mut ann_events) = log_in(&server, ANN, 12).await;
    let (_bob, mut bob_events) = log_in(&server, BOB, 12).await;
    ann.send_text(BOB, "one").await.unwrap();
    let (session, members) = server.sessions().remove(0);
    assert_eq!(members, [ANN, BOB]);
    assert!(server.drop_switchboard(session));
    let lost = |event: &ClientEvent| match event {
        ClientEvent::CarrierLost { peer } => Some(peer.clone()),
        _ => None,
    };
    assert_eq!(next(&mut ann_events, lost).await, BOB);
    assert_eq!(next(&mut bob_events, lost).await, ANN);
    ann.send_text(BOB, "two").await.unwrap();
    assert_eq!(next(&mut bob_events, ClientEvent::text).await, "two");
}

#[tokio::test]
async fn one_who_is_cut_off_is_offline_for_everybody() {
    let server = server(ServerSettings::default()).await;
    let (_bob, mut bob_events) = log_in(&server, BOB, 12).await;
    let (_ann, mut ann_events) = log_in(&server, ANN, 12).await;
    assert_eq!(server.drop_user(ANN), 1);
    next(&mut ann_events, |event| {
        (*event == ClientEvent::SignedOut).then_some(())
    })
    .await;
    next(&mut bob_events, |event| {
        matches!(event, ClientEvent::Offline { handle } if handle == ANN).then_some(())
    })
    .await;
    assert_eq!(server.online(), [BOB]);
}

#[tokio::test]
async fn a_second_login_ends_the_first() {
    let server = server(ServerSettings::default()).await;
    let (_first, mut first_events) = log_in(&server, ANN, 12).await;
    let (_second, _second_events) = log_in(&server, ANN, 12).await;
    next(&mut first_events, |event| {
        (*event == ClientEvent::SignedOut).then_some(())
    })
    .await;
    assert_eq!(server.online(), [ANN]);
}

/// Takes every invitation and writes down what it is told.
#[derive(Default)]
struct Hub(Mutex<Vec<String>>);

impl Invitations for Hub {
    fn attach(&self, account: &str, _: Arc<dyn Carrier>) -> AccountId {
        lock(&self.0).push(format!("attach {account}"));
        AccountId(1)
    }
    fn detach(&self, _: AccountId) {
        lock(&self.0).push("detach".to_owned());
    }
    fn received(&self, _: AccountId, peer: &str, payload: &[u8]) -> Verdict {
        lock(&self.0).push(format!("received {peer} {}", payload.len()));
        Verdict::Taken
    }
    fn typed(&self, _: AccountId, _: &str, _: &str) -> Verdict {
        Verdict::Pass
    }
    fn carrier_lost(&self, _: AccountId, peer: &str) {
        lock(&self.0).push(format!("lost {peer}"));
    }
    fn carrier_back(&self, _: AccountId, peer: &str) {
        lock(&self.0).push(format!("back {peer}"));
    }
    fn undelivered(&self, _: AccountId, delivery: Delivery) {
        lock(&self.0).push(format!("undelivered {}", delivery.0.0));
    }
}

#[tokio::test]
async fn a_dispatcher_on_a_client_gets_the_invitations_and_nothing_else() {
    let server = server(ServerSettings::default()).await;
    let (bob, events) = log_in(&server, BOB, 12).await;
    let hub = Arc::new(Hub::default());
    let (_, mut passed) = join(&bob, events, Arc::<Hub>::clone(&hub));
    let (ann, _ann_events) = log_in(&server, ANN, 12).await;
    ann.send_payload(BOB, Letter::A, INVITE).await.unwrap();
    ann.send_text(BOB, "hello").await.unwrap();
    assert_eq!(next(&mut passed, ClientEvent::text).await, "hello");
    ann.leave(BOB);
    next(&mut passed, |event| {
        matches!(event, ClientEvent::CarrierLost { .. }).then_some(())
    })
    .await;
    Carrier::send(
        &bob,
        "nobody@example.com",
        INVITE.to_vec(),
        Delivery(InvitationId(9)),
    );
    next(&mut passed, |event| {
        matches!(event, ClientEvent::Undelivered { .. }).then_some(())
    })
    .await;
    bob.sign_out().await;
    assert_eq!(
        *lock(&hub.0),
        [
            format!("attach {BOB}"),
            format!("back {ANN}"),
            format!("received {ANN} {}", INVITE.len()),
            format!("lost {ANN}"),
            "undelivered 9".to_owned(),
            "detach".to_owned(),
        ]
    );
}

#[tokio::test]
async fn a_switchboard_is_kept_open_and_none_is_opened_for_that() {
    let server = server(ServerSettings::default()).await;
    let mut tap = server.tap();
    let (ann, _ann_events) = log_in(&server, ANN, 12).await;
    let (_bob, mut bob_events) = log_in(&server, BOB, 12).await;
    ann.keep_alive(BOB);
    ann.send_text(BOB, "hello").await.unwrap();
    ann.keep_alive(BOB);
    ann.send_text(BOB, "hello again").await.unwrap();
    let mut payloads = Vec::new();
    while payloads.len() < 3 {
        payloads.push(
            next(&mut bob_events, |event| match event {
                ClientEvent::Message { payload, .. } => Some(payload.clone()),
                _ => None,
            })
            .await,
        );
    }
    assert_eq!(payloads[1], crate::msnp::text::KEEP_ALIVE);
    let mut sent = Vec::new();
    while let Ok(tapped) = tap.try_recv() {
        if tapped.payload() == crate::msnp::text::KEEP_ALIVE && tapped.from == Side::Client {
            sent.push(tapped.line().split(' ').nth(2).map(str::to_owned));
        }
    }
    assert_eq!(sent, [Some("U".to_owned())]);
}

#[tokio::test]
async fn the_tap_tells_every_command_with_its_payload() {
    let server = server(ServerSettings::default()).await;
    let mut tap = server.tap();
    let (ann, _ann_events) = log_in(&server, ANN, 12).await;
    let (_bob, _bob_events) = log_in(&server, BOB, 12).await;
    ann.send_payload(BOB, Letter::A, INVITE).await.unwrap();
    let mut seen = Vec::new();
    while let Ok(tapped) = tap.try_recv() {
        if tapped.line().starts_with("MSG") && tapped.payload() == INVITE {
            seen.push((tapped.who.clone(), tapped.from, tapped.session.is_some()));
        }
    }
    assert_eq!(
        seen,
        [
            (ANN.to_owned(), Side::Client, true),
            (BOB.to_owned(), Side::Server, true)
        ]
    );
}
