//! Whole conversations by the demo's server and clients, and the ones we lend a client.

use msn_handoff::{
    demo::{
        client::{Client, ClientEvent, ClientSettings, Letter, text_payload},
        server::{Kind, Server, ServerSettings, Tapped},
    },
    dispatcher::Delivery,
    negotiation::InvitationId,
};
use tokio::sync::{broadcast, mpsc};

use crate::stage::{ANN, Front, ME, Stage, Told, Wire, chat, invitation, message, within};

type Events = mpsc::UnboundedReceiver<ClientEvent>;

async fn server(redirect: bool) -> Server {
    Server::start(ServerSettings {
        people: vec![(ME.into(), "M E".into()), (ANN.into(), "Ann E".into())],
        redirect,
        ..ServerSettings::default()
    })
    .await
    .unwrap()
}

async fn login(addr: std::net::SocketAddr, handle: &str, version: u8) -> (Client, Events) {
    let settings = ClientSettings {
        version,
        ..ClientSettings::new(addr, handle)
    };
    within("a login", Client::login(settings)).await.unwrap()
}

/// The text of the next message, whatever else happens before.
async fn heard(events: &mut Events) -> String {
    loop {
        let event = within("a message", events.recv()).await.unwrap();
        if let Some(text) = event.text() {
            return text;
        }
        if let ClientEvent::Message { payload, .. } = event {
            return String::from_utf8(payload).unwrap();
        }
    }
}

/// How often a client asked the server for this since the last time.
fn asked(tap: &mut broadcast::Receiver<Tapped>, verb: &str) -> usize {
    let mut count = 0;
    while let Ok(tapped) = tap.try_recv() {
        count += usize::from(tapped.kind == Kind::Notification && tapped.line().starts_with(verb));
    }
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn every_version_chats_both_ways_with_and_without_a_dispatch_server() {
    for redirect in [false, true] {
        let server = server(redirect).await;
        for version in 2..=18 {
            let mut front = Front::start(server.ns_addr()).await;
            let (me, mut my_events) = login(front.addr, ME, version).await;
            let (ann, mut ann_events) = login(front.addr, ANN, 20 - version).await;
            assert_eq!(front.hears().await, Told::Attached(ME.into()));
            assert_eq!(front.hears().await, Told::Attached(ANN.into()));
            me.send_text(ANN, "hello").await.unwrap();
            assert_eq!(heard(&mut ann_events).await, "hello");
            ann.send_payload(ME, Letter::A, invitation("OURS").as_bytes())
                .await
                .unwrap();
            let told = Told::Received(ANN.into(), invitation("OURS").into_bytes());
            assert_eq!(front.hears().await, told);
            ann.send_text(ME, "/hello").await.unwrap();
            assert_eq!(front.hears().await, Told::Typed(ME.into(), "/hello".into()));
            assert_eq!(heard(&mut my_events).await, "/hello");
            me.sign_out().await;
            ann.sign_out().await;
            front.end().await;
        }
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_without_a_conversation_rings_the_client_and_its_answer_is_ours() {
    for version in 2..=18 {
        let server = server(false).await;
        let mut tap = server.tap();
        let mut front = Front::start(server.ns_addr()).await;
        let (me, mut my_events) = login(front.addr, ME, version).await;
        let (ann, mut ann_events) = login(server.ns_addr(), ANN, 12).await;
        assert_eq!(front.hears().await, Told::Attached(ME.into()));
        let carrier = front.fake.carrier(ME);
        carrier.show(ANN, "one");
        carrier.show(ANN, "two");
        assert_eq!(heard(&mut my_events).await, "one");
        assert_eq!(heard(&mut my_events).await, "two");
        carrier.show(ANN, "three");
        assert_eq!(heard(&mut my_events).await, "three");

        // Commands need no switchboard, and the contact hears nothing.
        me.send_text(ANN, "/ours").await.unwrap();
        assert_eq!(front.hears().await, Told::Typed(ANN.into(), "/ours".into()));
        assert_eq!(asked(&mut tap, "XFR"), 0);

        // Anything else does.
        me.send_text(ANN, "hello").await.unwrap();
        assert_eq!(heard(&mut ann_events).await, "hello");
        assert_eq!(asked(&mut tap, "XFR"), 2, "the question and the answer");
        ann.send_text(ME, "hello you").await.unwrap();
        assert_eq!(heard(&mut my_events).await, "hello you");

        // And it is a conversation like any other now.
        carrier.show(ANN, "four");
        assert_eq!(heard(&mut my_events).await, "four");
        carrier.send(
            ANN,
            text_payload("from the dispatcher"),
            Delivery(InvitationId(1)),
        );
        assert_eq!(heard(&mut ann_events).await, "from the dispatcher");
        ann.send_payload(ME, Letter::A, invitation("OURS").as_bytes())
            .await
            .unwrap();
        assert!(matches!(front.hears().await, Told::Received(..)));
        assert_eq!(asked(&mut tap, "XFR"), 0);
        ann.leave(ME);
        assert_eq!(front.hears().await, Told::Lost(ANN.into()));
        me.sign_out().await;
        ann.sign_out().await;
        front.end().await;
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chat_that_comes_by_a_switchboard_of_ours_rings_the_client() {
    for version in [2, 12, 18] {
        let server = server(false).await;
        let mut front = Front::start(server.ns_addr()).await;
        let (me, mut my_events) = login(front.addr, ME, version).await;
        let (ann, mut ann_events) = login(server.ns_addr(), ANN, 12).await;
        assert_eq!(front.hears().await, Told::Attached(ME.into()));
        let carrier = front.fake.carrier(ME);
        carrier.send(
            ANN,
            invitation("from us").into_bytes(),
            Delivery(InvitationId(1)),
        );
        assert_eq!(heard(&mut ann_events).await, invitation("from us"));
        ann.send_payload(ME, Letter::A, invitation("OURS").as_bytes())
            .await
            .unwrap();
        assert!(matches!(front.hears().await, Told::Received(..)));

        ann.send_text(ME, "what is that?").await.unwrap();
        ann.send_text(ME, "tell me").await.unwrap();
        assert_eq!(heard(&mut my_events).await, "what is that?");
        assert_eq!(heard(&mut my_events).await, "tell me");
        me.send_text(ANN, "a call").await.unwrap();
        assert_eq!(heard(&mut ann_events).await, "a call");
        me.send_text(ANN, "/ours").await.unwrap();
        assert_eq!(front.hears().await, Told::Typed(ANN.into(), "/ours".into()));
        assert_eq!(server.sessions().len(), 1);

        // The client closes its window: the switchboard is left, as it would be without us.
        me.leave(ANN);
        assert_eq!(front.hears().await, Told::Lost(ANN.into()));
        loop {
            let event = within("the end", ann_events.recv()).await;
            if matches!(event, Some(ClientEvent::CarrierLost { .. })) {
                break;
            }
        }
        me.sign_out().await;
        ann.sign_out().await;
        front.end().await;
        server.stop().await;
    }
}

/// A client, by hand, in a conversation that we lent it.
async fn lent(stage: &mut Stage, notification: &mut crate::stage::Pair) -> Wire {
    stage.front.fake.carrier(ME).show(ANN, "shown");
    let ring = notification.client.line().await;
    let words: Vec<&str> = ring.split(' ').collect();
    let [_, session, address, _, cookie, ..] = words.as_slice() else {
        panic!("{ring}");
    };
    assert_eq!(
        ring,
        format!("RNG {session} {address} CKI {cookie} {ANN} {ANN}")
    );
    assert_eq!(*address, stage.front.addr.to_string());
    let mut client = Wire::to(stage.front.addr).await;
    client
        .says(format!("ANS 1 {ME} {cookie} {session}\r\n"))
        .await;
    client
        .hears(format!(
            "IRO 1 1 1 {ANN} {ANN} 0\r\nANS 1 OK\r\nMSG {ANN} {ANN} "
        ))
        .await;
    let length: usize = client.line().await.parse().unwrap();
    let mut payload = vec![0; length];
    tokio::io::AsyncReadExt::read_exact(&mut client.0, &mut payload)
        .await
        .unwrap();
    assert!(payload.ends_with(b"shown"));
    client
}

/// A contact may call others into a switchboard that we opened.
#[tokio::test]
async fn everybody_in_a_switchboard_of_ours_is_told_to_the_client_and_speaks_for_himself() {
    let mut stage = Stage::new().await;
    let mut notification = stage.signed_in(12).await;
    let carrier = stage.front.fake.carrier(ME);
    carrier.send(ANN, b"first".to_vec(), Delivery(InvitationId(1)));
    let mut server = crate::invitations::opened(&mut stage, &mut notification, "").await;
    server.says(format!("JOI {ANN} Ann%20E\r\n")).await;
    server.hears("MSG 900000000 N 5\r\nfirst").await;
    let said = [
        message("bob@example.com;{1} Bob", &chat("what is that?")),
        message(&format!("{ANN} Ann%20E"), &chat("a call")),
    ];
    server.says("JOI bob@example.com;{1} Bob\r\n").await;
    server.says("JOI bob@example.com Bob\r\n").await;
    server.says(said.concat()).await;
    let ring = notification.client.line().await;
    let words: Vec<&str> = ring.split(' ').collect();
    let mut client = Wire::to(stage.front.addr).await;
    let answer = format!("ANS 1 {ME} {} {}\r\n", words[4], words[1]);
    client.says(answer).await;
    client
        .hears(format!(
            "IRO 1 1 2 {ANN} Ann%20E 0\r\nIRO 1 2 2 bob@example.com Bob 0\r\nANS 1 OK\r\n"
        ))
        .await;
    for message in said {
        client.hears(message).await;
    }
    // Now it is a conversation like any other.
    client.says(message("2 N", &chat("hello you"))).await;
    server.hears(message("2 N", &chat("hello you"))).await;
    server.says("BYE bob@example.com\r\n").await;
    client.hears("BYE bob@example.com\r\n").await;
    stage.front.end().await;
}

#[tokio::test]
async fn what_the_client_says_in_a_lent_conversation_is_refused_when_nobody_can_hear_it() {
    let mut stage = Stage::new().await;
    let mut notification = stage.signed_in(12).await;
    let mut client = lent(&mut stage, &mut notification).await;
    let typing =
        "MIME-Version: 1.0\r\nContent-Type: text/x-msmsgscontrol\r\nTypingUser: me\r\n\r\n\r\n";
    client.says(message("2 U", typing)).await;
    client.says(message("3 A", typing)).await;
    client.hears("ACK 3\r\n").await;
    let rows = [
        (message("4 A", &chat("hi")), "NAK 4\r\n"),
        (message("5 N", &chat("hi")), "NAK 5\r\n"),
        (message("6 U", &chat("hi")), ""),
        ("CAL 7 bob@example.com\r\n".to_owned(), "217 7\r\n"),
    ];
    for (said, answer) in rows {
        client.says(said).await;
        let asked = notification.server.line().await;
        let trid = asked.split(' ').nth(1).unwrap();
        notification.server.says(format!("913 {trid}\r\n")).await;
        client.hears(answer).await;
    }
    client.says("OUT\r\n").await;
    client.ends().await;
    // The next line rings again.
    lent(&mut stage, &mut notification).await;
    stage.front.end().await;
}

/// Nothing keeps a payload so long for a switchboard that is not there yet.
#[tokio::test]
async fn a_switchboard_that_opens_while_the_client_says_something_long_gets_what_is_said_next() {
    let mut stage = Stage::new().await;
    let mut notification = stage.signed_in(12).await;
    let mut client = lent(&mut stage, &mut notification).await;
    client.says("MSG 2 N 6000\r\nOUT\r\nhalf").await;
    // It will not reach anybody, and by now the room is in the middle of it.
    client.hears("NAK 2\r\n").await;
    let carrier = stage.front.fake.carrier(ME);
    carrier.send(ANN, b"first".to_vec(), Delivery(InvitationId(1)));
    let mut server = crate::invitations::opened(&mut stage, &mut notification, "").await;
    server.says(format!("JOI {ANN} Ann\r\n")).await;
    server.hears("MSG 900000000 N 5\r\nfirst").await;
    // Not as a conversation yet, but what the contact says is heard.
    let said = message(&format!("{ANN} Ann"), &chat("are you there?"));
    server.says(&said).await;
    client.hears(&said).await;
    let next = message("3 N", &chat("here I am"));
    client.says("x".repeat(6000 - 9) + &next).await;
    server.hears(&next).await;
    server.says("BYE bob@example.com\r\n").await;
    client.hears("BYE bob@example.com\r\n").await;
    stage.front.end().await;
}

#[tokio::test]
async fn a_client_that_does_not_answer_is_rung_again_by_the_next_line_only() {
    let mut stage = Stage::new().await;
    let mut notification = stage.signed_in(12).await;
    let carrier = stage.front.fake.carrier(ME);
    carrier.show(ANN, "missed");
    let first = notification.client.line().await;
    carrier.show(ANN, "missed as well");
    tokio::time::pause();
    tokio::time::sleep(std::time::Duration::from_secs(61)).await;
    tokio::time::resume();
    // The ring is over: its cookie opens nothing of ours any more.
    let words: Vec<&str> = first.split(' ').collect();
    let mut late = Wire::to(stage.front.addr).await;
    let answer = format!("ANS 1 {ME} {} {}\r\n", words[4], words[1]);
    late.says(&answer).await;
    Stage::accept(&stage.notification)
        .await
        .hears(&answer)
        .await;
    lent(&mut stage, &mut notification).await;
    stage.front.end().await;
}

#[tokio::test]
async fn a_lent_conversation_ends_with_the_account() {
    let mut stage = Stage::new().await;
    let mut notification = stage.signed_in(12).await;
    let mut client = lent(&mut stage, &mut notification).await;
    drop(notification);
    client.ends().await;
    stage.front.end().await;
}
