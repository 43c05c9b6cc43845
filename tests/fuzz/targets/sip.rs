//! Any bytes through the gate to SIP, as a datagram and as a stream: what is let in is bounded and
//! holds nothing that would begin a line of its own when it is written again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use msn_handoff::media::sip::{
    Draft, Error, MAX_HEAD, MAX_HEADERS, MAX_VIAS, Message, Token, frame, read, reason,
};

fuzz_target!(|bytes: &[u8]| {
    one(bytes);
    let mut whole = frame::Stream::default();
    whole.push(bytes);
    let mut pieces = frame::Stream::default();
    let mut cut = Vec::new();
    for piece in bytes.chunks(7) {
        pieces.push(piece);
        while let Ok(Some(message)) = pieces.next() {
            cut.push(message);
        }
    }
    let mut at_once = Vec::new();
    while let Ok(Some(message)) = whole.next() {
        assert!(message.len() <= frame::MAX_MESSAGE);
        one(&message);
        at_once.push(message);
    }
    assert_eq!(cut, at_once);
});

fn one(bytes: &[u8]) {
    let message = match read(bytes) {
        Ok(message) => message,
        Err(Error::Refused(refusal)) => {
            if let Some(response) = refusal.response() {
                check_written(&response);
            }
            return;
        }
        Err(_) => return,
    };
    let fields = message.fields();
    assert!(!fields.vias.is_empty() && fields.vias.len() <= MAX_VIAS);
    assert!(fields.others.len() <= MAX_HEADERS && fields.body.len() <= bytes.len());
    let _ = (fields.has_sdp(), fields.other("Subject"));
    if let Some(contact) = &fields.contact {
        one_line(&contact.to_string());
    }
    let Ok(tag) = Token::new("abc") else { return };
    let reply = Draft::reply(200, reason(200), None, fields, Some(&tag)).finish();
    check_written(&reply);
    // What we answer is read by ourselves as the answer to the same call.
    let again = read(&reply).expect("our own response");
    assert_eq!(again.fields().call_id, fields.call_id);
    assert_eq!(again.fields().cseq, fields.cseq);
    assert_eq!(again.fields().vias, fields.vias);
    if let Message::Request(request) = &message {
        let written = Draft::request(&request.method, &request.uri).finish();
        let head = String::from_utf8(written).unwrap();
        assert_eq!(head.matches("\r\n").count(), 3);
    }
}

fn one_line(text: &str) {
    assert!(!text.contains(['\r', '\n', '\0']));
}

/// Nothing that was copied began a line of its own.
fn check_written(response: &[u8]) {
    assert!(response.len() <= 4 * MAX_HEAD + 1024);
    let text = std::str::from_utf8(response).unwrap();
    assert!(!text.replace("\r\n", "").contains(['\r', '\n', '\0']));
    let known = [
        "SIP/2.0 ",
        "Via: ",
        "From: ",
        "To: ",
        "Call-ID: ",
        "CSeq: ",
        "Server: ",
        "Content-Length: ",
    ];
    for line in text.lines().filter(|line| !line.is_empty()) {
        assert!(known.iter().any(|name| line.starts_with(name)), "{line}");
    }
}
