//! What is not ours passes as it is.

use msn_handoff::endpoint::socket;
use tokio::io::AsyncWriteExt;

use crate::stage::{ANN, ME, Pair, Stage, Told, Wire, chat, free, invitation, message};

/// Both ends' view of everything that may pass at a switchboard, interception included.
fn conversation() -> (Vec<u8>, Vec<u8>) {
    let sent = [
        message(&format!("{ANN} Name"), &chat("one")),
        message(&format!("{ANN} Name"), &invitation("OURS")),
        message(&format!("{ANN} Name"), &invitation("theirs")),
        "ACK 7\r\nNAK 8\r\n".to_owned(),
        message(&format!("{ANN} Name"), &"x".repeat(6000)),
        "ACK 900000005\r\n".to_owned(),
        "JOI bob@example.com Bob\r\nBYE bob@example.com 1\r\n".to_owned(),
        message(&format!("{ANN} Name"), ""),
    ];
    let ours = [1, 5];
    let passed = sent.iter().enumerate().filter(|(at, _)| !ours.contains(at));
    let passed: String = passed.map(|(_, text)| text.as_str()).collect();
    (sent.concat().into_bytes(), passed.into_bytes())
}

#[tokio::test]
async fn messages_split_at_every_byte_are_the_same_messages() {
    let mut stage = Stage::new().await;
    let mut notification = stage.signed_in(12).await;
    let mut pair = stage.talking(&mut notification, &[ANN]).await;
    let (sent, passed) = conversation();
    // The system may glue some of the pieces again; `msnp::frame` is tested with every cut for sure.
    for byte in &sent {
        pair.server.says([*byte]).await;
    }
    pair.client.hears(&passed).await;
    for cut in 1..700 {
        let (head, tail) = sent.split_at(cut);
        pair.server.says(head).await;
        tokio::task::yield_now().await;
        pair.server.says(tail).await;
        pair.client.hears(&passed).await;
    }
    // Glued together.
    pair.server.says(sent.repeat(20)).await;
    pair.client.hears(passed.repeat(20)).await;
    stage.front.end().await;
}

#[tokio::test]
async fn the_clients_messages_split_at_every_byte_are_the_same_messages() {
    let mut stage = Stage::new().await;
    let mut notification = stage.signed_in(12).await;
    let mut pair = stage.talking(&mut notification, &[ANN]).await;
    let theirs = [
        message("3 A", &chat("one")),
        message("4 N", &chat("/not ours")),
        message("6 U", &invitation("from the client itself")),
        message("7 D", &"y".repeat(5000)),
        "CAL 8 bob@example.com\r\n".to_owned(),
    ]
    .concat();
    let ours = message("5 A", &chat("/ours"));
    let sent = [ours.as_str(), &theirs].concat();
    for byte in sent.as_bytes() {
        pair.client.says([*byte]).await;
    }
    pair.server.hears(&theirs).await;
    pair.client.hears("ACK 5\r\n").await;
    pair.client.says(sent.repeat(20)).await;
    pair.server.hears(theirs.repeat(20)).await;
    pair.client.hears("ACK 5\r\n".repeat(20)).await;
    stage.front.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_messages_pass_both_ways_at_once_unchanged() {
    const COUNT: usize = 10_000;
    let mut stage = Stage::new().await;
    let mut notification = stage.signed_in(12).await;
    let Pair { client, server } = stage.talking(&mut notification, &[ANN]).await;
    let up: String = (0..COUNT)
        .map(|n| {
            message(
                &format!("{n} N"),
                &chat(&format!("up {n} \u{e9}\r\nMSG 1 N 5\r\n")),
            )
        })
        .collect();
    let down: String = (0..COUNT)
        .map(|n| {
            message(
                &format!("{ANN} Name"),
                &chat(&format!("down {n}\r\nXFR 1 NS a:1\r\n")),
            )
        })
        .collect();
    let (client_reads, mut client_writes) = client.0.into_split();
    let (server_reads, mut server_writes) = server.0.into_split();
    let (sent_up, sent_down) = (up.clone(), down.clone());
    let writers = tokio::spawn(async move {
        let up = client_writes.write_all(sent_up.as_bytes());
        let down = server_writes.write_all(sent_down.as_bytes());
        tokio::try_join!(up, down).unwrap();
        // The halves live until both have arrived.
        (client_writes, server_writes)
    });
    let (got_down, got_up) =
        tokio::join!(read(client_reads, down.len()), read(server_reads, up.len()));
    // Not `assert_eq`, which would print megabytes.
    assert!(got_up == up.as_bytes(), "the client's messages changed");
    assert!(got_down == down.as_bytes(), "the server's messages changed");
    writers.await.unwrap();
    stage.front.end().await;
}

async fn read(mut from: tokio::net::tcp::OwnedReadHalf, length: usize) -> Vec<u8> {
    use tokio::io::AsyncReadExt;
    let mut got = vec![0; length];
    crate::stage::within("all of it", from.read_exact(&mut got))
        .await
        .unwrap();
    got
}

#[tokio::test]
async fn addresses_are_rewritten_in_every_form() {
    for (version, xfr_tail, sb_tail, rng_tail) in [
        (2, "", "", ""),
        (3, " 0", "", ""),
        (12, " 0 {current}", "", ""),
        (
            13,
            " U D",
            " U messenger.msn.com",
            " U messenger.hotmail.com",
        ),
        (
            18,
            " U D",
            " U messenger.msn.com 1",
            " U messenger.hotmail.com 1",
        ),
    ] {
        let mut stage = Stage::new().await;
        let mut pair = stage.signed_in(version).await;
        let proxy = stage.front.addr;
        let real = stage.switchboard.local_addr().unwrap();

        pair.server
            .says(format!("RNG 9 {real} CKI 3.4 {ANN} Ann%20E{rng_tail}\r\n"))
            .await;
        pair.client
            .hears(format!("RNG 9 {proxy} CKI 3.4 {ANN} Ann%20E{rng_tail}\r\n"))
            .await;
        let mut client = Wire::to(proxy).await;
        client.says(format!("ANS 1 {ME} 3.4 9\r\n")).await;
        Stage::accept(&stage.switchboard)
            .await
            .hears(format!("ANS 1 {ME} 3.4 9\r\n"))
            .await;

        pair.server
            .says(format!("XFR 5 SB {real} CKI 1.2{sb_tail}\r\n"))
            .await;
        pair.client
            .hears(format!("XFR 5 SB {proxy} CKI 1.2{sb_tail}\r\n"))
            .await;
        let mut client = Wire::to(proxy).await;
        client.says(format!("USR 1 {ME} 1.2\r\n")).await;
        Stage::accept(&stage.switchboard)
            .await
            .hears(format!("USR 1 {ME} 1.2\r\n"))
            .await;

        // The same server again is the same port; another one gets a port that leads there.
        let same = stage.notification.local_addr().unwrap();
        let other = socket::tcp_listen(free()).await.unwrap();
        let there = other.local_addr().unwrap();
        let tail = |current: &str| xfr_tail.replace("{current}", current);
        let (old, new) = (tail(&same.to_string()), tail(&proxy.to_string()));
        pair.server.says(format!("XFR 6 NS {same}{old}\r\n")).await;
        pair.client
            .hears(format!("XFR 6 NS {proxy}{new}\r\n"))
            .await;
        pair.server.says(format!("XFR 7 NS {there}{old}\r\n")).await;
        let line = pair.client.line().await;
        let told = line
            .strip_prefix("XFR 7 NS ")
            .unwrap()
            .strip_suffix(&new)
            .unwrap();
        assert_ne!(told, there.to_string());
        let mut client = Wire::to(told.parse().unwrap()).await;
        client.says("VER 1 MSNP8\r\n").await;
        Stage::accept(&other).await.hears("VER 1 MSNP8\r\n").await;
        pair.server.says("XFR 8 NS 0 0 1.2.3.4:5\r\n").await;
        pair.client.hears("XFR 8 NS 0 0 1.2.3.4:5\r\n").await;
        stage.front.end().await;
    }
}

#[tokio::test]
async fn a_cookie_nobody_gave_goes_to_the_notification_server() {
    let stage = Stage::new().await;
    let mut client = Wire::to(stage.front.addr).await;
    client.says(format!("ANS 1 {ME} 3.4 9\r\n")).await;
    let mut server = Stage::accept(&stage.notification).await;
    server.hears(format!("ANS 1 {ME} 3.4 9\r\n")).await;
    server.says("911 1\r\n").await;
    client.hears("911 1\r\n").await;
    stage.front.end().await;
}

#[tokio::test]
async fn what_is_no_msnp_passes_as_well() {
    let mut stage = Stage::new().await;
    let mut pair = stage.signed_in(8).await;
    let noise: Vec<u8> = (0..200_000u32)
        .map(|n| (n * 7 % 256) as u8)
        .filter(|b| *b != b'\n')
        .collect();
    let (client, server) = (&mut pair.client, &mut pair.server);
    tokio::join!(client.says(&noise), server.hears(&noise));
    tokio::join!(server.says(&noise), client.hears(&noise));
    stage.front.end().await;
}

#[tokio::test]
async fn a_payload_larger_than_any_buffer_streams_through() {
    let mut stage = Stage::new().await;
    let mut pair = stage.signed_in(13).await;
    // The server has the beginning before the end was written: nothing waits for the whole.
    pair.client.says("ADL 5 1000000\r\n<ml>").await;
    pair.server.hears("ADL 5 1000000\r\n<ml>").await;
    let rest = vec![b'\n'; 1_000_000 - 4];
    let (client, server) = (&mut pair.client, &mut pair.server);
    tokio::join!(client.says(&rest), server.hears(&rest));
    client.says("PNG\r\n").await;
    server.hears("PNG\r\n").await;
    stage.front.end().await;
}

#[tokio::test]
async fn several_clients_are_kept_apart() {
    let mut stage = Stage::new().await;
    let mut pairs = Vec::new();
    for number in 0..20 {
        let mut pair = stage.connected(8).await;
        let ok = format!("USR 2 OK user{number}@example.com Me 1 0\r\n");
        pair.server.says(&ok).await;
        pair.client.hears(&ok).await;
        let told = stage.front.hears().await;
        assert_eq!(told, Told::Attached(format!("user{number}@example.com")));
        pairs.push(pair);
    }
    for (number, pair) in pairs.iter_mut().enumerate() {
        pair.client.says(format!("PNG{number}\r\n")).await;
        pair.server.says(format!("QNG{number}\r\n")).await;
    }
    for (number, pair) in pairs.iter_mut().enumerate() {
        pair.server.hears(format!("PNG{number}\r\n")).await;
        pair.client.hears(format!("QNG{number}\r\n")).await;
    }
    stage.front.end().await;
}

/// Where a test reads what was logged.
#[derive(Clone, Default)]
struct Log(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_stream_that_is_passed_unread_is_told_once() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let mut stage = Stage::new().await;
    let mut pair = stage.signed_in(8).await;
    let noise = "x".repeat(20_000);
    for _ in 0..2 {
        pair.server.says(&noise).await;
        pair.client.hears(&noise).await;
    }
    stage.front.end().await;
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(log.matches("passes unread").count(), 1, "{log}");
}

#[tokio::test]
async fn where_the_server_sees_us_is_learned_and_the_client_may_be_told_as_if_we_were_not_there() {
    for corrects in [false, true] {
        let mut stage = Stage::correcting(corrects).await;
        let mut pair = stage.signed_in(12).await;
        let proxy = pair.server.0.peer_addr().unwrap();
        let client = pair.client.0.local_addr().unwrap();
        let profile = |port: u16| {
            let body = format!(
                "MIME-Version: 1.0\r\nContent-Type: text/x-msmsgsprofile; charset=UTF-8\r\n\
                 kv: 5\r\nClientIP: 127.0.0.1\r\nClientPort: {}\r\n\r\n",
                port.swap_bytes()
            );
            message("Hotmail Hotmail", &body)
        };
        let sent = profile(proxy.port());
        pair.server.says(&sent).await;
        let port = if corrects {
            client.port()
        } else {
            proxy.port()
        };
        pair.client.hears(profile(port)).await;
        let seen = stage.front.fake.carrier(ME).seen_ip();
        assert_eq!(seen, Some(std::net::Ipv4Addr::LOCALHOST));
        // What looks like it and says nothing passes.
        let other = message("Hotmail Hotmail", &chat("ClientIP: 1.2.3.4"));
        pair.server.says(&other).await;
        pair.client.hears(&other).await;
        stage.front.end().await;
    }
}
