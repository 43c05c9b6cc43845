//! A contact whose H.245 never ends, is not read any more, or is none: over real connections, against
//! our own H.323 as the shipped bridge starts it.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddrV4},
    time::Duration,
};

use msn_handoff::{
    adapter::h323::{
        call::{Call, Codec, Input, MAX_HEARD, Output, Settings},
        h245::{Message, Request},
        tpkt,
    },
    dispatcher::Invitations as _,
    event::What,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{
    Pair, connect, listener,
    peer::WAITING,
    support::{self, namespace::alone, sides::ANN, within},
};

/// What asks to be answered, as pycrate encodes it (tests/h323/messages.hex, "round-trip").
const ROUND_TRIP: [u8; 3] = [0x09, 0x00, 0x09];
/// How many of them are sent at a time.
const AT_A_TIME: usize = 1_000;
/// How long a connection that takes nothing is watched until it counts as full.
const FULL: Duration = Duration::from_secs(1);
/// How long the end may take after `/hangup`: what is stuck is given up after 5 s.
const ENDS_WITHIN: Duration = Duration::from_secs(15);

fn settings(ip: Ipv4Addr) -> Settings {
    Settings {
        name: "Ann".into(),
        codecs: vec![Codec::Ulaw],
        audio: SocketAddrV4::new(ip, 5000),
        video: None,
        only_watches: false,
        control: None,
        t120: None,
        fast_start: false,
        tunnelling: false,
        guid: [7; 16],
        number: 5,
        reference: 0x1234,
    }
}

/// Ann calls Bob, up to where the connection for H.245 is there, on which nothing is said yet.
/// What she called over stays open as long as the first of the two is kept.
async fn called() -> (Pair, TcpStream, TcpStream) {
    let mut pair = Pair::new(|dir, _| {
        listener(dir).replacen("\"listen\"", "\"listen\"\nrole = \"inviter\"", 1) + WAITING
    });
    let connected = |what: &What| matches!(what, What::Connected { .. });
    pair.bob.until("the handshake", connected).await;
    let mut signal = connect(pair.inviter, (pair.invitee, 1720)).await;
    let mut call = Call::new(settings(pair.inviter));
    let mut out = call.handle(Input::Call(SocketAddrV4::new(pair.invitee, 1720)));
    let mut buffer = [0; 4096];
    loop {
        for output in out {
            match output {
                Output::Signal(bytes) => signal.write_all(&bytes).await.unwrap(),
                Output::Connect(at) => {
                    let control = connect(pair.inviter, (*at.ip(), at.port())).await;
                    return (pair, signal, control);
                }
                Output::Ended(why) => panic!("{why}"),
                _ => {}
            }
        }
        let n = within("an answer", signal.read(&mut buffer)).await.unwrap();
        assert!(n > 0, "no call");
        out = call.handle(Input::Signal(&buffer[..n]));
    }
}

fn ended_for(words: &'static str) -> impl Fn(&What) -> bool {
    move |what| match what {
        What::Ended { reason, .. } => {
            assert!(reason.contains(words), "{reason}");
            true
        }
        _ => false,
    }
}

async fn done(pair: Pair) {
    pair.ann.hub.shutdown().await;
    pair.bob.hub.shutdown().await;
}

/// That many questions.
fn questions() -> Vec<u8> {
    tpkt::framed(&ROUND_TRIP).unwrap().repeat(AT_A_TIME)
}

#[test]
fn a_contact_that_asks_for_ever_is_left_after_so_many_questions() {
    alone(async || {
        if !support::have(&["ncat"]) {
            return;
        }
        assert!(matches!(
            Message::read(&ROUND_TRIP),
            Ok(Message::Request(Request::RoundTripDelay(_)))
        ));
        let (mut pair, signal, control) = called().await;
        let (mut answers, mut asks) = control.into_split();
        let asking = tokio::spawn(async move {
            let mut asked = 0;
            while asks.write_all(&questions()).await.is_ok() {
                asked += AT_A_TIME;
            }
            asked
        });
        let hearing = tokio::spawn(async move {
            let (mut heard, mut buffer) = (0, vec![0; 65_536]);
            while let Ok(n @ 1..) = answers.read(&mut buffer).await {
                heard += n;
            }
            heard
        });
        let why = ended_for("could not be read");
        pair.bob.until("the end", why).await;
        // Most of what may be said was said and answered, and nothing after it.
        let asked = within("the last question", asking).await.unwrap();
        let heard = within("the last answer", hearing).await.unwrap();
        let most = usize::try_from(MAX_HEARD).unwrap();
        let answer = tpkt::HEADER + 4;
        assert!(asked > most / 2, "only {asked} questions");
        // Our own capabilities and the like are among the answers.
        assert!(heard <= most * answer + 1_000, "{heard} bytes");
        drop(signal);
        done(pair).await;
    });
}

#[test]
fn a_contact_that_asks_and_does_not_listen_can_be_left() {
    alone(async || {
        if !support::have(&["ncat"]) {
            return;
        }
        // All answers to all that may be asked would find room in the usual buffers. These are of the
        // test's own namespace.
        for name in ["tcp_rmem", "tcp_wmem"] {
            fs::write(format!("/proc/sys/net/ipv4/{name}"), "4096 16384 65536").unwrap();
        }
        let (mut pair, signal, mut control) = called().await;
        let mut asked = 0;
        let (_unread, mut asks) = control.split();
        // It takes nothing any more: it waits for us to take an answer.
        while timeout(FULL, asks.write_all(&questions())).await.is_ok() {
            asked += AT_A_TIME;
            let most = usize::try_from(MAX_HEARD).unwrap();
            assert!(
                asked < most / 2,
                "so much is kept for one who does not listen"
            );
        }
        pair.bob.hub.typed(pair.bob.account, ANN, "/hangup");
        let over = pair.bob.until("the end", ended_for("ended here"));
        timeout(ENDS_WITHIN, over).await.unwrap();
        drop(signal);
        done(pair).await;
    });
}

#[test]
fn h245_that_is_none_or_too_long_ends_the_call() {
    alone(async || {
        if !support::have(&["ncat"]) {
            return;
        }
        let too_long = u16::try_from(tpkt::MAX_MESSAGE + 1).unwrap().to_be_bytes();
        for bytes in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            // A header that is shorter than itself, and one of a message longer than is read.
            &[3, 0, 0, 3],
            &[3, 0, too_long[0], too_long[1]],
        ] {
            let (mut pair, signal, mut control) = called().await;
            control.write_all(bytes).await.unwrap();
            let why = ended_for("could not be read");
            pair.bob.until("the end", why).await;
            drop(signal);
            done(pair).await;
        }
    });
}
