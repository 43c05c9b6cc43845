//! What the parts cost in instructions, which do not depend on what else the machine does: a gate.
//! `tests/bench/counted` runs it, with valgrind and gungraun-runner; so does `.ci/run`.
//!
//! Each limit is what was counted when the part was last touched, and a tenth more, because another
//! compiler counts otherwise. Who makes a part cheaper lowers its limit.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    missing_debug_implementations
)]

use std::{hint::black_box, sync::Arc, time::Duration};

use gungraun::{
    Callgrind, EventKind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main,
};
use msn_handoff::{
    invitation::{Message, is_invitation},
    media::{
        rtp::{self, Datagram},
        sdp, sip,
        statistics::Statistics,
    },
    msnp::{
        frame::{Side, Splitter},
        rewrite,
    },
    negotiation::{
        Application, Engine, Input, InvitationId, Limits, Now, Output, Settings, Treatment,
    },
};

const VOICE: &[u8] = include_bytes!("../../vectors/V1.msg");
const GUID: &str = "{8DAE4336-2B71-11D4-9A6C-006067325E48}";

fn at_most(instructions: u64) -> LibraryBenchmarkConfig {
    let mut config = LibraryBenchmarkConfig::default();
    let mut callgrind = Callgrind::with_args(["--cache-sim=no"]);
    config.tool(
        callgrind
            .hard_limits([(EventKind::Ir, instructions)])
            .clone(),
    );
    config
}

#[library_benchmark(config = at_most(10_000))]
fn invitation_read() {
    assert!(is_invitation(black_box(VOICE)));
    let message = Message::read(black_box(VOICE)).unwrap();
    black_box((
        message.command(),
        message.cookie(),
        message.application_guid(),
        message.session_id(),
        message.dialect(),
        message.connection(),
    ));
}

/// Messages of the contact's, in so many bytes of stream.
fn chat(text: usize) -> Vec<u8> {
    let mut payload =
        b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\n\r\n".to_vec();
    payload.resize(payload.len() + text, b'x');
    let mut one = format!("MSG bob@example.com Bob {}\r\n", payload.len()).into_bytes();
    one.extend(payload);
    one.repeat((64 << 10) / one.len())
}

// 64 KiB of chat, in pieces as they are read.
#[library_benchmark(config = at_most(251_000))]
#[bench::short(chat(40))]
#[bench::long(chat(1_500))]
fn stream_passed(stream: Vec<u8>) -> usize {
    let mut splitter = Splitter::new(Side::Server);
    let mut passed = 0;
    for mut input in stream.chunks(16 << 10) {
        while let Some(item) = splitter.next(&mut input) {
            passed += black_box(item.bytes()).len();
        }
    }
    passed
}

#[library_benchmark(config = at_most(4_500))]
fn switchboard_rewritten() -> Vec<u8> {
    let line = black_box(&b"XFR 15 SB 207.46.108.37:1863 CKI 17262740.1050826919.32308\r\n"[..]);
    assert!(rewrite::read_xfr(line).is_some());
    rewrite::write_xfr(line, "127.0.0.1:1863", "127.0.0.1:1863")
}

/// A call as the genuine client begins it.
fn call() -> Vec<u8> {
    let body = "v=0\r\no=bob 0 0 IN IP4 192.0.2.8\r\ns=session\r\nc=IN IP4 192.0.2.8\r\nb=CT:1000\r\n\
        t=0 0\r\nm=audio 9002 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\n";
    format!(
        "INVITE sip:192.0.2.7:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.8:9000\r\nMax-Forwards: 70\r\n\
         From: \"Bob\" <sip:bob@example.com>;tag=9c1f5e7a;epid=b1\r\nTo: <sip:192.0.2.7>\r\n\
         Call-ID: 5f0e5b1fd9b64d1b8d3a1a7b@192.0.2.8\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:192.0.2.8:9000>\r\nUser-Agent: Windows RTC/1.0\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

// Through the gate, with the session description in it.
#[library_benchmark(config = at_most(144_000))]
#[bench::genuine(call())]
fn call_read(message: Vec<u8>) -> Vec<u8> {
    match sip::read(black_box(&message)) {
        Ok(sip::Message::Request(request)) => {
            black_box(sdp::read(&request.fields.body).unwrap());
        }
        other => panic!("it is not let in: {other:?}"),
    }
    message
}

fn packet() -> Vec<u8> {
    let mut packet = vec![0x80, 0, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4];
    packet.resize(172, 0xd5);
    packet
}

// Through the gate, and counted.
#[library_benchmark(config = at_most(320))]
#[bench::voice((packet(), Statistics::new()))]
fn packet_relayed((packet, mut statistics): (Vec<u8>, Statistics)) -> Statistics {
    let Datagram::Rtp(packet) = rtp::read(black_box(&packet)) else {
        panic!("it is not let in");
    };
    statistics.arrived(&packet, Duration::from_millis(20));
    statistics
}

fn invite(cookie: usize) -> Vec<u8> {
    format!(
        "MIME-Version: 1.0\r\nContent-Type: text/x-msmsgsinvite; charset=UTF-8\r\n\r\n\
         Application-Name: game\r\nApplication-GUID: {GUID}\r\nSession-Protocol: SM1\r\n\
         Invitation-Command: INVITE\r\nInvitation-Cookie: {cookie}\r\n\
         Session-ID: {{11112222-3333-4444-5555-666677778888}}\r\n\r\n"
    )
    .into_bytes()
}

type Table = (Engine, Arc<Application>, Vec<Output>, Vec<u8>);

fn received(table: &mut Table, peer: &str) -> usize {
    let (engine, application, out, payload) = table;
    let message = Message::read(payload).unwrap();
    let input = Input::Received {
        peer,
        message: &message,
        application: Some(Treatment::Negotiate(Arc::clone(application))),
    };
    let _ = engine.handle(input, Now::from_secs(1), out);
    out.len()
}

/// An engine with so many invitations of as many contacts.
fn table(count: usize) -> Table {
    let limits = Limits {
        sessions: 2 * count + 10,
        pending: 2 * count + 10,
        ..Limits::default()
    };
    let settings = Settings {
        limits,
        ..Settings::default()
    };
    let application = Application::new("game", GUID.parse().unwrap(), "game");
    let engine = Engine::new(settings, InvitationId(1));
    let mut table = (engine, Arc::new(application), Vec::new(), Vec::new());
    for number in 0..count {
        table.3 = invite(number + 1);
        table.2.clear();
        assert!(received(&mut table, &format!("contact{number}@example.com")) > 0);
    }
    table.2.clear();
    table.3 = invite(count + 1);
    table
}

// One more invitation. What is open is looked through, so the cost grows with it, and 256 may be open.
#[library_benchmark(config = at_most(102_000))]
#[bench::first(table(0))]
#[bench::beside_1000(table(1_000))]
fn invited(mut table: Table) -> Table {
    assert!(received(&mut table, "bob@example.com") > 0);
    table
}

// When the clock is to be looked at again.
#[library_benchmark(config = at_most(83_000))]
#[bench::alone(table(1))]
#[bench::beside_1000(table(1_000))]
fn next_asked(table: Table) -> Table {
    assert!(black_box(table.0.next_timeout()).is_some());
    table
}

library_benchmark_group!(
    name = parts;
    benchmarks = invitation_read, stream_passed, switchboard_rewritten, call_read, packet_relayed, invited, next_asked
);
main!(library_benchmark_groups = parts);
