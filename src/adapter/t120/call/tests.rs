//! The call between a hand-made RTC and ours, in virtual time.

use super::*;
use crate::media::sip::{Response, read};

const PEER: SocketAddrV4 = SocketAddrV4::new(core::net::Ipv4Addr::new(10, 0, 0, 5), 9315);
const OWN: SocketAddrV4 = SocketAddrV4::new(core::net::Ipv4Addr::new(10, 0, 0, 9), 10_869);

fn front() -> Front {
    let mut next = 0;
    Front::new(Setup {
        own: OWN,
        port: 1503,
        user: Token::new("bridge").unwrap(),
        seeds: Box::new(move || {
            next += 1;
            [next; 24]
        }),
    })
}

/// A request as RTC writes it.
fn request(method: &str, number: u32, call: &str, tag: &str, body: &str) -> Message {
    let kind = if body.is_empty() {
        ""
    } else {
        "Content-Type: application/sdp\r\n"
    };
    let text = format!(
        "{method} sip:10.0.0.9:10869 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.5:9315\r\nMax-Forwards: 70\r\n\
         From: \"a\" <sip:a@example.com>;tag=6f1c\r\nTo: <sip:10.0.0.9:10869>{tag}\r\nCall-ID: {call}\r\n\
         CSeq: {number} {method}\r\nContact: <sip:10.0.0.5:9315>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    read(text.as_bytes()).unwrap()
}

fn offer(more: &str) -> String {
    format!(
        "v=0\r\no=- 0 0 IN IP4 10.0.0.5\r\ns=session\r\nc=IN IP4 10.0.0.5\r\nt=0 0\r\n\
         m=application 1503 tcp msdata\r\n{more}"
    )
}

fn says(front: &mut Front, message: &Message, at: u64) -> Vec<Output> {
    let mut out = Vec::new();
    let now = Now::from_millis(at);
    front.message(message, Hop::Udp(PEER), PEER, now, &mut out);
    out
}

/// The answers among them, all of them to the peer.
fn answers(out: &[Output]) -> Vec<Response> {
    let sent = out.iter().filter_map(|output| match output {
        Output::Send { bytes, hop } => Some((bytes, *hop)),
        _ => None,
    });
    sent.map(|(bytes, hop)| {
        assert_eq!(hop, Hop::Udp(PEER));
        match read(bytes).unwrap() {
            Message::Response(response) => response,
            Message::Request(request) => panic!("{request:?}"),
        }
    })
    .collect()
}

fn tag_of(response: &Response) -> String {
    let tag = response.fields.to.tag.as_ref().unwrap();
    format!(";tag={tag}")
}

#[test]
fn a_call_is_taken_and_its_end_ends_it() {
    let mut front = front();
    let invite = request("INVITE", 1, "1", "", &offer("a=sendonly\r\n"));
    let out = says(&mut front, &invite, 0);
    let taken = answers(&out).pop().unwrap();
    assert_eq!(taken.status, 200);
    let sdp = String::from_utf8(taken.fields.body.clone()).unwrap();
    assert!(
        sdp.ends_with("m=application 1503 tcp msdata\r\na=recvonly\r\n"),
        "{sdp}"
    );
    let tag = tag_of(&taken);
    // It is repeated until it is confirmed.
    let due = front.next_timeout().unwrap();
    let mut out = Vec::new();
    front.timeout(due, &mut out);
    assert_eq!(answers(&out).len(), 1);
    assert!(says(&mut front, &request("ACK", 1, "1", &tag, ""), 600).is_empty());
    assert_eq!(front.next_timeout(), None);
    // The session changes its direction.
    let again = request("INVITE", 2, "1", &tag, &offer(""));
    let changed = answers(&says(&mut front, &again, 700)).pop().unwrap();
    let sdp = String::from_utf8(changed.fields.body).unwrap();
    assert!(sdp.ends_with("m=application 1503 tcp msdata\r\n"), "{sdp}");
    let _ = says(&mut front, &request("ACK", 2, "1", &tag, ""), 800);
    let bye = request("BYE", 3, "1", &tag, "");
    let out = says(&mut front, &bye, 900);
    assert_eq!(answers(&out)[0].status, 200);
    assert!(out.contains(&Output::Finished));
    // Our answer was lost.
    let out = says(&mut front, &bye, 1400);
    assert_eq!(answers(&out)[0].status, 200);
    assert!(front.is_done());
}

#[test]
fn encryption_is_refused_and_the_next_call_taken() {
    let mut front = front();
    let invite = request("INVITE", 1, "1", "", &offer("a=encryption:required\r\n"));
    let out = says(&mut front, &invite, 0);
    let refused = answers(&out).pop().unwrap();
    assert_eq!(refused.status, 488);
    assert_eq!(refused.reason.as_str(), "Encryption Levels Incompatible");
    assert!(refused.fields.other("Warning").is_some());
    let said = |output: &Output| matches!(output, Output::Say(line) if line.contains("encryption"));
    assert!(out.iter().any(said));
    let _ = says(
        &mut front,
        &request("ACK", 1, "1", &tag_of(&refused), ""),
        10,
    );
    let invite = request("INVITE", 1, "2", "", &offer("a=encryption:optional\r\n"));
    let taken = answers(&says(&mut front, &invite, 20)).pop().unwrap();
    assert_eq!(taken.status, 200);
    assert!(
        !String::from_utf8(taken.fields.body)
            .unwrap()
            .contains("encryption")
    );
}

#[test]
fn sound_is_refused_a_question_answered_and_a_second_call_busy() {
    let mut front = front();
    let options = request("OPTIONS", 1, "0", "", "");
    assert_eq!(answers(&says(&mut front, &options, 0))[0].status, 200);
    let sound = request("INVITE", 1, "1", "", "v=0\r\nm=audio 5004 RTP/AVP 0\r\n");
    assert_eq!(
        answers(&says(&mut front, &sound, 0)).pop().unwrap().status,
        488
    );
    let invite = request("INVITE", 1, "2", "", &offer(""));
    assert_eq!(
        answers(&says(&mut front, &invite, 0)).pop().unwrap().status,
        200
    );
    let second = request("INVITE", 1, "3", "", &offer(""));
    assert_eq!(
        answers(&says(&mut front, &second, 0)).pop().unwrap().status,
        486
    );
    let stray = request("BYE", 1, "9", ";tag=x", "");
    assert_eq!(answers(&says(&mut front, &stray, 0))[0].status, 481);
}

#[test]
fn our_end_is_told_until_it_is_confirmed() {
    let mut front = front();
    let invite = request("INVITE", 1, "1", "", &offer(""));
    let taken = answers(&says(&mut front, &invite, 0)).pop().unwrap();
    let _ = says(&mut front, &request("ACK", 1, "1", &tag_of(&taken), ""), 10);
    let mut out = Vec::new();
    front.hang_up(Now::from_millis(50), &mut out);
    assert!(matches!(out.as_slice(), [Output::Send { bytes, .. }] if bytes.starts_with(b"BYE ")));
    assert!(!front.is_done());
    let due = front.next_timeout().unwrap();
    let mut again = Vec::new();
    front.timeout(due, &mut again);
    assert_eq!(out, again);
    let Output::Send { bytes, .. } = &out[0] else {
        panic!()
    };
    let Message::Request(bye) = read(bytes).unwrap() else {
        panic!()
    };
    let text = format!(
        "SIP/2.0 200 OK\r\nVia: {}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: 1\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
        bye.fields.vias[0], bye.fields.from.value, bye.fields.to.value
    );
    let _ = says(&mut front, &read(text.as_bytes()).unwrap(), 700);
    assert!(front.is_done());
}
