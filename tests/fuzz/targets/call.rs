//! A call, driven by any messages, orders and pauses: it sends only messages that our own gate
//! reads, ends when it is told to, and is then forgotten.

#![no_main]

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    time::Duration,
};

use libfuzzer_sys::{arbitrary::Unstructured, fuzz_target};
use msn_handoff::media::sip::{
    Host, Message, Token, Uri,
    call::{Call, Input, Local, Output, Transport},
    read, reason,
};

const SDP: &[u8] = b"v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
const SOURCE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 5), 9315);
const METHODS: [&str; 8] = [
    "INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "INFO", "UPDATE", "X",
];

fuzz_target!(|bytes: &[u8]| {
    let _ = drive(&mut Unstructured::new(bytes));
});

fn drive(choices: &mut Unstructured<'_>) -> Option<()> {
    let incoming: bool = choices.arbitrary().ok()?;
    let local = Local {
        ip: Ipv4Addr::new(10, 0, 0, 9),
        port: 13455,
        transport: if choices.arbitrary().ok()? {
            Transport::Udp
        } else {
            Transport::Tcp
        },
        user: Token::new("bridge").ok()?,
        seed: [7; 24],
    };
    let mut now = Duration::from_secs(1);
    let mut out = Vec::new();
    let mut last = Vec::new();
    let mut call = if incoming {
        let Ok(Message::Request(invite)) = read(&request(choices, "INVITE", 1)?) else {
            return None;
        };
        Call::incoming(local, &invite, SOURCE, now, &mut out)
    } else {
        let target = Uri::new(None, Host::V4(*SOURCE.ip()), Some(SOURCE.port())).ok()?;
        Call::outgoing(local, target, SDP, now, &mut out)
    };
    check(&mut out, &mut last);
    let mut over = false;
    while !choices.is_empty() {
        match choices.int_in_range(0..=9_u8).ok()? {
            0 => call.handle(Input::Ring, now, &mut out),
            1 => call.handle(Input::Answer(SDP), now, &mut out),
            2 => {
                let status = choices.int_in_range(300..=699).ok()?;
                let refusal = Input::Refuse {
                    status,
                    words: reason(status),
                    warning: None,
                };
                call.handle(refusal, now, &mut out);
            }
            3 => call.handle(Input::HangUp, now, &mut out),
            4 => {
                now += Duration::from_millis(choices.int_in_range(0..=40_000).ok()?);
                while call.next_timeout().is_some_and(|at| at <= now) {
                    call.handle(Input::Timeout, now, &mut out);
                }
            }
            5 | 6 => {
                let method = *choices.choose(&METHODS).ok()?;
                let number = choices.int_in_range(0..=4).ok()?;
                let bytes = request(choices, method, number)?;
                push(&mut call, &bytes, now, &mut out);
            }
            7 | 8 => {
                // An answer to what we sent last, whatever that is.
                let status = choices.int_in_range(100..=699_u16).ok()?;
                let bytes = response(&last, status, choices.arbitrary().ok()?)?;
                push(&mut call, &bytes, now, &mut out);
            }
            _ => {
                let bytes = choices.arbitrary::<&[u8]>().ok()?;
                push(&mut call, bytes, now, &mut out);
            }
        }
        let ends = out
            .iter()
            .filter(|output| matches!(output, Output::Ended(_)))
            .count();
        assert!(ends <= usize::from(!over), "a call ended twice");
        over |= ends == 1;
        assert_eq!(over, call.is_over());
        check(&mut out, &mut last);
    }
    // Whatever has happened: it ends, and in a minute and a bit it can be dropped.
    call.handle(Input::HangUp, now, &mut out);
    for _ in 0..200 {
        let Some(at) = call.next_timeout() else { break };
        now = now.max(at);
        call.handle(Input::Timeout, now, &mut out);
        check(&mut out, &mut last);
    }
    assert!(call.finished(), "{:?}", call.next_timeout());
    Some(())
}

fn push(call: &mut Call, bytes: &[u8], now: Duration, out: &mut Vec<Output>) {
    if let Ok(message) = read(bytes)
        && call.owns(&message)
    {
        call.handle(
            Input::Message {
                message: &message,
                source: SOURCE,
            },
            now,
            out,
        );
    }
}

fn check(out: &mut Vec<Output>, last: &mut Vec<u8>) {
    for output in out.drain(..) {
        if let Output::Send { bytes, .. } = output {
            read(&bytes).expect("what we send, our gate reads");
            *last = bytes;
        }
    }
}

fn request(choices: &mut Unstructured<'_>, method: &str, number: u32) -> Option<Vec<u8>> {
    let tag = *choices
        .choose(&["", ";tag=", ";tag=0707070707070707"])
        .ok()?;
    let from = *choices.choose(&[";tag=a", "", ";tag=b"]).ok()?;
    let branch = *choices
        .choose(&["", ";branch=z9hG4bK1", ";branch=2", ";rport"])
        .ok()?;
    let contact = *choices
        .choose(&["Contact: <sip:10.0.0.5:9315>\r\n", "", "Contact: *\r\n"])
        .ok()?;
    let body: &[u8] = if choices.arbitrary().ok()? { SDP } else { b"" };
    let head = format!(
        "{method} sip:10.0.0.9:13455 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.5:9315{branch}\r\n\
         From: \"a\" <sip:alice@example.com>{from}\r\nTo: <sip:10.0.0.9:13455>{tag}\r\n\
         Call-ID: 6F96@10.0.0.5\r\nCSeq: {number} {method}\r\n{contact}\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    Some([head.as_bytes(), body].concat())
}

/// A response with that status to the request `asked`.
fn response(asked: &[u8], status: u16, with_sdp: bool) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(asked).ok()?;
    let mut head = format!("SIP/2.0 {status} Words\r\n");
    for line in text.lines() {
        if ["Via: ", "From: ", "Call-ID: ", "CSeq: "]
            .iter()
            .any(|name| line.starts_with(name))
        {
            head.push_str(&format!("{line}\r\n"));
        } else if line.starts_with("To: ") {
            let tag = if line.contains(";tag=") {
                ""
            } else {
                ";tag=them"
            };
            head.push_str(&format!("{line}{tag}\r\n"));
        }
    }
    let body: &[u8] = if with_sdp { SDP } else { b"" };
    head.push_str(&format!(
        "Contact: <sip:10.0.0.5:9315>\r\nContent-Length: {}\r\n\r\n",
        body.len()
    ));
    Some([head.as_bytes(), body].concat())
}
