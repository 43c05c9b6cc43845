//! What is ours: taken out, put in, and answered for the client.

use msn_handoff::{dispatcher::Delivery, negotiation::InvitationId};

use crate::stage::{ANN, ME, Pair, Stage, Told, chat, invitation, message};

const BOB: &str = "bob@example.com";

fn delivery(number: u64) -> Delivery {
    Delivery(InvitationId(number))
}

/// Something passes both ways, so nothing else came before it.
async fn quiet(pair: &mut Pair) {
    pair.client.says("PNG\r\n").await;
    pair.server.hears("PNG\r\n").await;
    pair.server.says("QNG\r\n").await;
    pair.client.hears("QNG\r\n").await;
}

#[tokio::test]
async fn our_invitation_is_swallowed_and_another_passes() {
    let mut stage = Stage::new().await;
    let mut notification = stage.signed_in(18).await;
    let mut pair = stage.talking(&mut notification, &[ANN]).await;
    let ours = message("Ann@example.com;{1} Name", &invitation("OURS"));
    let theirs = message("Ann@example.com;{1} Name", &invitation("theirs"));
    pair.server.says([ours, theirs.clone()].concat()).await;
    pair.client.hears(theirs).await;
    for body in ["OURS", "theirs"] {
        let told = Told::Received("Ann@example.com".into(), invitation(body).into_bytes());
        assert_eq!(stage.front.hears().await, told);
    }
    stage.front.end().await;
}

#[tokio::test]
async fn a_typed_command_is_swallowed_and_acknowledged_as_its_letter_asks() {
    let mut stage = Stage::new().await;
    let mut notification = stage.signed_in(12).await;
    let mut pair = stage.talking(&mut notification, &[ANN]).await;
    for (letter, acknowledged) in [
        ("A", true),
        ("D", true),
        ("S", true),
        ("U", false),
        ("N", false),
    ] {
        pair.client
            .says(message(&format!("7 {letter}"), &chat("/ours now")))
            .await;
        let told = Told::Typed(ANN.into(), "/ours now".into());
        assert_eq!(stage.front.hears().await, told);
        if acknowledged {
            pair.client.hears("ACK 7\r\n").await;
        }
        quiet(&mut pair).await;
    }
    let other = message("8 N", &chat("/theirs"));
    pair.client.says(&other).await;
    pair.server.hears(&other).await;
    assert_eq!(
        stage.front.hears().await,
        Told::Typed(ANN.into(), "/theirs".into())
    );
    stage.front.end().await;
}

#[tokio::test]
async fn a_command_typed_to_nobody_or_to_several_people_reaches_none_of_them() {
    let mut stage = Stage::new().await;
    let mut notification = stage.signed_in(12).await;
    let mut pair = stage.talking(&mut notification, &[]).await;
    let typed = message("8 N", &chat("/ours"));
    let theirs = message("9 N", &chat("/theirs"));
    // It cannot be answered where nobody is: as if it had not been delivered.
    pair.client.says([typed.as_str(), &theirs].concat()).await;
    pair.client.hears("NAK 8\r\n").await;
    pair.server.hears(&theirs).await;
    for who in [ANN, BOB] {
        pair.server.says(format!("JOI {who} Name\r\n")).await;
        pair.client.hears(format!("JOI {who} Name\r\n")).await;
    }
    let answer = String::from_utf8(msn_handoff::msnp::text::payload("not here")).unwrap();
    for (letter, acknowledged) in [("N", ""), ("A", "ACK 8\r\n")] {
        let typed = message(&format!("8 {letter}"), &chat(" /ours"));
        pair.client.says([typed.as_str(), &theirs].concat()).await;
        let answer = message(&format!("{ANN} Name"), &answer);
        pair.client.hears(answer + acknowledged).await;
        pair.server.hears(&theirs).await;
    }
    // With two again it is.
    pair.server.says(format!("BYE {BOB}\r\n")).await;
    pair.client.hears(format!("BYE {BOB}\r\n")).await;
    pair.client.says(&typed).await;
    assert_eq!(stage.front.hears().await, Told::Lost(BOB.into()));
    assert_eq!(
        stage.front.hears().await,
        Told::Typed(ANN.into(), "/ours".into())
    );
    quiet(&mut pair).await;
    stage.front.end().await;
}

#[tokio::test]
async fn blanks_before_a_command_do_not_let_it_through() {
    let mut stage = Stage::new().await;
    let mut notification = stage.signed_in(12).await;
    let mut pair = stage.talking(&mut notification, &[ANN]).await;
    for text in [" /ours", "\r\n\t/ours", "\u{a0}/ours"] {
        pair.client.says(message("7 N", &chat(text))).await;
        let told = Told::Typed(ANN.into(), "/ours".into());
        assert_eq!(stage.front.hears().await, told);
    }
    quiet(&mut pair).await;
    stage.front.end().await;
}

#[tokio::test]
async fn ours_goes_over_the_open_switchboard_and_its_replies_are_swallowed() {
    let mut stage = Stage::new().await;
    let mut notification = stage.signed_in(12).await;
    let mut pair = stage.talking(&mut notification, &[ANN]).await;
    let carrier = stage.front.fake.carrier(ME);
    for (at, number) in [(0, 1), (1, 2), (2, 3)] {
        carrier.send("ANN@example.com", b"payload".to_vec(), delivery(number));
        let line = format!("MSG {} N 7\r\npayload", 900_000_000 + at);
        pair.server.hears(line).await;
    }
    pair.server
        .says("ACK 900000000\r\nNAK 900000001\r\n282 900000002\r\nNAK 7\r\n")
        .await;
    pair.client.hears("NAK 7\r\n").await;
    assert_eq!(stage.front.hears().await, Told::Undelivered(delivery(2)));
    assert_eq!(stage.front.hears().await, Told::Undelivered(delivery(3)));
    quiet(&mut pair).await;
    stage.front.end().await;
}

/// The contact comes by a switchboard of the client's, and by one of ours.
#[tokio::test]
async fn a_contact_that_comes_into_a_switchboard_is_told() {
    let mut stage = Stage::new().await;
    let mut notification = stage.signed_in(12).await;
    let mut pair = stage.talking(&mut notification, &[ANN]).await;
    pair.server.says(format!("JOI {ANN} Name\r\n")).await;
    pair.client.hears(format!("JOI {ANN} Name\r\n")).await;
    assert_eq!(*stage.front.fake.back.lock().unwrap(), [ANN]);
    pair.server.says(format!("BYE {ANN}\r\n")).await;
    assert_eq!(stage.front.hears().await, Told::Lost(ANN.into()));
    let carrier = stage.front.fake.carrier(ME);
    carrier.send(ANN, b"first".to_vec(), delivery(1));
    let mut server = opened(&mut stage, &mut notification, "").await;
    server.says(format!("JOI {ANN} Ann\r\n")).await;
    server.hears("MSG 900000000 N 5\r\nfirst").await;
    assert_eq!(*stage.front.fake.back.lock().unwrap(), [ANN, ANN]);
    stage.front.end().await;
}

const KEEP_ALIVE: &str = "MIME-Version: 1.0\r\nContent-Type: text/x-keepalive\r\n\r\n";

#[tokio::test]
async fn a_switchboard_with_the_contact_alone_is_kept_open_and_none_is_opened_for_that() {
    let mut stage = Stage::new().await;
    let mut notification = stage.signed_in(12).await;
    let carrier = stage.front.fake.carrier(ME);
    carrier.keep_alive(ANN);
    carrier.keep_alive("ann@example.com\r\nOUT");
    quiet(&mut notification).await;
    let mut pair = stage.talking(&mut notification, &[ANN]).await;
    carrier.keep_alive("ANN@example.com");
    pair.server.hears(message("900000000 U", KEEP_ALIVE)).await;
    // Whatever a server answers is no affair of the client's.
    pair.server.says("NAK 900000000\r\n").await;
    carrier.keep_alive(BOB);
    carrier.send(ANN, b"payload".to_vec(), delivery(1));
    pair.server.hears("MSG 900000001 N 7\r\npayload").await;
    // Not with somebody else there.
    pair.server.says(format!("JOI {BOB} Name\r\n")).await;
    pair.client.hears(format!("JOI {BOB} Name\r\n")).await;
    carrier.keep_alive(ANN);
    quiet(&mut pair).await;
    quiet(&mut notification).await;
    stage.front.end().await;
}

#[tokio::test]
async fn a_line_is_shown_with_the_name_the_contact_has() {
    let mut stage = Stage::new().await;
    let mut notification = stage.signed_in(12).await;
    let mut pair = stage.talking(&mut notification, &[]).await;
    pair.server.says(format!("JOI {ANN} Ann%20E\r\n")).await;
    pair.client.hears(format!("JOI {ANN} Ann%20E\r\n")).await;
    stage.front.fake.carrier(ME).show(ANN, "hello \u{e9}");
    let line = pair.client.line().await;
    let length = line.strip_prefix(&format!("MSG {ANN} Ann%20E ")).unwrap();
    let mut payload = vec![0; length.parse().unwrap()];
    tokio::io::AsyncReadExt::read_exact(&mut pair.client.0, &mut payload)
        .await
        .unwrap();
    let payload = String::from_utf8(payload).unwrap();
    assert!(payload.contains("Content-Type: text/plain"), "{payload}");
    assert!(payload.contains("X-MMS-IM-Format: "), "{payload}");
    assert!(payload.ends_with("\r\n\r\nhello \u{e9}"), "{payload}");
    quiet(&mut pair).await;
    stage.front.end().await;
}

#[tokio::test]
async fn what_an_invitation_leads_to_is_shown_before_what_came_behind_it() {
    let mut stage = Stage::new().await;
    let mut notification = stage.signed_in(12).await;
    let mut pair = stage.talking(&mut notification, &[ANN]).await;
    let start = format!("{ANN} Name");
    let before = message(&start, &chat("before"));
    let behind = message(&start, &chat("behind"));
    let ours = message(&start, &invitation("OURS SHOW"));
    pair.server
        .says([before.as_str(), &ours, &behind].concat())
        .await;
    pair.client.hears(&before).await;
    let shown = message(
        &start,
        &String::from_utf8(msn_handoff::msnp::text::payload("shown")).unwrap(),
    );
    pair.client.hears(shown).await;
    pair.client.hears(&behind).await;
    stage.front.end().await;
}

/// Nothing of ours lands inside a payload, whichever side streams one.
#[tokio::test]
async fn ours_waits_for_the_end_of_a_command() {
    let mut stage = Stage::new().await;
    let mut notification = stage.signed_in(12).await;
    let mut pair = stage.talking(&mut notification, &[ANN]).await;
    let carrier = stage.front.fake.carrier(ME);

    pair.client.says("MSG 5 N 6000\r\nhalf").await;
    pair.server.hears("MSG 5 N 6000\r\nhalf").await;
    carrier.send(ANN, b"payload".to_vec(), delivery(1));
    let rest = "x".repeat(5996);
    pair.client.says(&rest).await;
    pair.server.hears(rest).await;
    pair.server.hears("MSG 900000000 N 7\r\npayload").await;

    pair.server
        .says(format!("MSG {ANN} Name 6000\r\nhalf"))
        .await;
    pair.client
        .hears(format!("MSG {ANN} Name 6000\r\nhalf"))
        .await;
    carrier.show(ANN, "shown");
    let rest = "x".repeat(5996);
    pair.server.says(&rest).await;
    pair.client.hears(rest).await;
    pair.client.hears(format!("MSG {ANN} Name ")).await;

    // A line that has only begun is held back, and ours goes before it.
    pair.client.says("MSG 6 N 5\r\nabc").await;
    carrier.send(ANN, b"payload".to_vec(), delivery(2));
    pair.server.hears("MSG 900000001 N 7\r\npayload").await;
    pair.client.says("de").await;
    pair.server.hears("MSG 6 N 5\r\nabcde").await;
    stage.front.end().await;
}

/// A connection may never be read at the end of a command.
#[tokio::test]
async fn ours_goes_between_two_commands_although_every_read_ends_inside_a_payload() {
    let mut stage = Stage::new().await;
    let mut notification = stage.signed_in(12).await;
    let mut pair = stage.talking(&mut notification, &[ANN]).await;
    let carrier = stage.front.fake.carrier(ME);
    let rest = "x".repeat(5996);

    pair.client.says("MSG 5 N 6000\r\nhalf").await;
    pair.server.hears("MSG 5 N 6000\r\nhalf").await;
    carrier.send(ANN, b"payload".to_vec(), delivery(1));
    pair.client
        .says(format!("{rest}MSG 6 N 6000\r\nhalf"))
        .await;
    let ours = "MSG 900000000 N 7\r\npayload";
    let want = format!("{rest}{ours}MSG 6 N 6000\r\nhalf");
    pair.server.hears(want).await;

    let begun = format!("MSG {ANN} Name 6000\r\nhalf");
    pair.server.says(&begun).await;
    pair.client.hears(&begun).await;
    carrier.show(ANN, "shown");
    pair.server.says(format!("{rest}{begun}")).await;
    let ours = String::from_utf8(msn_handoff::msnp::text::payload("shown")).unwrap();
    let ours = message(&format!("{ANN} Name"), &ours);
    pair.client.hears(format!("{rest}{ours}{begun}")).await;

    // The same at the notification server, which is asked for a switchboard and rings the client.
    notification.client.says("UUX 7 6\r\nabc").await;
    notification.server.hears("UUX 7 6\r\nabc").await;
    carrier.send(BOB, b"payload".to_vec(), delivery(2));
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    notification.client.says("defUUX 8 6\r\nabc").await;
    notification
        .server
        .hears("defXFR 900000001 SB\r\nUUX 8 6\r\nabc")
        .await;

    let begun = format!("UBX {ANN} 6\r\nabc");
    notification.server.says(&begun).await;
    notification.client.hears(&begun).await;
    carrier.show("eve@example.com", "shown");
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    notification.server.says(format!("def{begun}")).await;
    notification.client.hears("defRNG ").await;
    assert!(notification.client.line().await.contains("eve@example.com"));
    notification.client.hears(&begun).await;
    stage.front.end().await;
}

/// The client never learns of a switchboard that we open (PROTOCOL.md 12.6).
pub(crate) async fn opened(
    stage: &mut Stage,
    notification: &mut Pair,
    xfr_tail: &str,
) -> crate::stage::Wire {
    let asked = notification.server.line().await;
    let trid = asked
        .strip_prefix("XFR ")
        .unwrap()
        .strip_suffix(" SB")
        .unwrap();
    assert!(trid.parse::<u32>().unwrap() >= 900_000_000);
    let real = stage.switchboard.local_addr().unwrap();
    let told = format!("XFR {trid} SB {real} CKI 9.9{xfr_tail}\r\n");
    notification.server.says(told).await;
    let mut server = Stage::accept(&stage.switchboard).await;
    server.hears(format!("USR 1 {ME} 9.9\r\n")).await;
    server.says(format!("USR 1 OK {ME} Me\r\n")).await;
    server.hears(format!("CAL 2 {ANN}\r\n")).await;
    server.says("CAL 2 RINGING 77\r\n").await;
    server
}

#[tokio::test]
async fn a_switchboard_is_opened_when_there_is_none_and_order_is_kept() {
    for (version, tail) in [
        (2, ""),
        (13, " U messenger.msn.com"),
        (18, " U messenger.msn.com 1"),
    ] {
        let mut stage = Stage::new().await;
        let mut notification = stage.signed_in(version).await;
        let carrier = stage.front.fake.carrier(ME);
        carrier.send(ANN, b"first".to_vec(), delivery(1));
        let mut server = opened(&mut stage, &mut notification, tail).await;
        carrier.send(ANN, b"second".to_vec(), delivery(2));
        server.says(format!("JOI {ANN} Ann\r\n")).await;
        server.hears("MSG 900000000 N 5\r\nfirst").await;
        server.hears("MSG 900000001 N 6\r\nsecond").await;
        carrier.send(ANN, b"third".to_vec(), delivery(3));
        server.hears("MSG 900000002 N 5\r\nthird").await;
        server.says("NAK 900000002\r\n").await;
        assert_eq!(stage.front.hears().await, Told::Undelivered(delivery(3)));
        server
            .says(message(&format!("{ANN} Ann"), &invitation("OURS")))
            .await;
        let told = Told::Received(ANN.into(), invitation("OURS").into_bytes());
        assert_eq!(stage.front.hears().await, told);
        quiet(&mut notification).await;
        // The contact leaves; so do we.
        server.says(format!("BYE {ANN}\r\n")).await;
        assert_eq!(stage.front.hears().await, Told::Lost(ANN.into()));
        server.hears("OUT\r\n").await;
        server.ends().await;
        quiet(&mut notification).await;
        stage.front.end().await;
    }
}

#[tokio::test]
async fn a_refused_switchboard_is_told_and_the_client_sees_nothing() {
    for error in ["713", "800", "911", "913"] {
        let mut stage = Stage::new().await;
        let mut notification = stage.signed_in(12).await;
        let carrier = stage.front.fake.carrier(ME);
        carrier.send(ANN, b"first".to_vec(), delivery(1));
        let asked = notification.server.line().await;
        carrier.send(ANN, b"second".to_vec(), delivery(2));
        let trid = asked.split(' ').nth(1).unwrap();
        notification
            .server
            .says(format!("{error} {trid}\r\n{error} 6\r\n"))
            .await;
        notification.client.hears(format!("{error} 6\r\n")).await;
        assert_eq!(stage.front.hears().await, Told::Undelivered(delivery(1)));
        assert_eq!(stage.front.hears().await, Told::Undelivered(delivery(2)));
        quiet(&mut notification).await;
        stage.front.end().await;
    }
}

#[tokio::test]
async fn a_contact_who_is_offline_is_told() {
    let mut stage = Stage::new().await;
    let mut notification = stage.signed_in(12).await;
    let carrier = stage.front.fake.carrier(ME);
    carrier.send(ANN, b"first".to_vec(), delivery(1));
    let mut server = opened(&mut stage, &mut notification, "").await;
    server.says("217 2\r\n").await;
    assert_eq!(stage.front.hears().await, Told::Undelivered(delivery(1)));
    server.ends().await;
    quiet(&mut notification).await;
    stage.front.end().await;
}

#[tokio::test]
async fn a_contact_who_does_not_come_is_given_up() {
    let mut stage = Stage::new().await;
    let mut notification = stage.signed_in(12).await;
    let carrier = stage.front.fake.carrier(ME);
    carrier.send(ANN, b"first".to_vec(), delivery(1));
    let mut server = opened(&mut stage, &mut notification, "").await;
    // Everything waits for the contact now: time passes until somebody gives up.
    tokio::time::pause();
    assert_eq!(stage.front.hears().await, Told::Undelivered(delivery(1)));
    tokio::time::resume();
    server.ends().await;
    stage.front.end().await;
}

#[tokio::test]
async fn a_name_that_is_no_single_word_reaches_no_wire() {
    let mut stage = Stage::new().await;
    let mut notification = stage.signed_in(12).await;
    let carrier = stage.front.fake.carrier(ME);
    let names = [
        "",
        "ann@example.com\r\nOUT",
        "ann bob",
        "ann\u{1b}[2J",
        "ann\0",
    ];
    for (number, name) in (1..).zip(names) {
        carrier.send(name, b"payload".to_vec(), delivery(number));
        carrier.show(name, "shown");
        assert_eq!(
            stage.front.hears().await,
            Told::Undelivered(delivery(number)),
            "{name:?}"
        );
        quiet(&mut notification).await;
    }
    stage.front.end().await;
}

/// A switchboard closes on a longer message (PROTOCOL.md 1.4), and the chat with it.
#[tokio::test]
async fn a_payload_longer_than_a_switchboard_takes_is_not_sent() {
    let mut stage = Stage::new().await;
    let mut notification = stage.signed_in(12).await;
    let mut pair = stage.talking(&mut notification, &[ANN]).await;
    let carrier = stage.front.fake.carrier(ME);
    carrier.send(ANN, vec![b'x'; 1665], delivery(1));
    assert_eq!(stage.front.hears().await, Told::Undelivered(delivery(1)));
    let longest = "x".repeat(1664);
    carrier.send(ANN, longest.clone().into_bytes(), delivery(2));
    let line = format!("MSG 900000000 N 1664\r\n{longest}");
    pair.server.hears(line).await;
    quiet(&mut pair).await;
    stage.front.end().await;
}
