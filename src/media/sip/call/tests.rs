//! A call driven by hand, in virtual time.

use super::*;
use crate::media::sip::read;

const OFFER: &[u8] = b"v=0\r\no=- 0 0 IN IP4 10.0.0.5\r\ns=session\r\nc=IN IP4 10.0.0.5\r\n\
    t=0 0\r\nm=audio 9000 RTP/AVP 0 8 101\r\n";
const ANSWER: &[u8] = b"v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\n\
    t=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";

fn source() -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 5), 9315)
}

fn local(seed: u8, transport: Transport) -> Local {
    Local {
        ip: Ipv4Addr::new(10, 0, 0, 9),
        port: 13455,
        transport,
        user: Token::new("bridge").unwrap(),
        seed: [seed; 24],
    }
}

/// A request as RTC writes it: no branch, no user. `to_tag` empty before the dialog.
fn rtc(method: &str, number: u32, to_tag: &str, body: &[u8]) -> Vec<u8> {
    let to_tag = if to_tag.is_empty() {
        String::new()
    } else {
        format!(";tag={to_tag}")
    };
    let mut bytes = format!(
        "{method} sip:10.0.0.9:13455 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.5:9315\r\n\
         From: \"alice\" <sip:alice@example.com>;tag=0e5a1b2c-7d33-4f0a\r\n\
         To: <sip:10.0.0.9:13455>{to_tag}\r\nCall-ID: 6F96@10.0.0.5\r\nCSeq: {number} {method}\r\n\
         Contact: <sip:10.0.0.5:9315>\r\nMax-Forwards: 70\r\nUser-Agent: Windows RTC/1.0\r\n"
    );
    if !body.is_empty() {
        bytes.push_str("Content-Type: application/sdp\r\n");
    }
    bytes.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    let mut bytes = bytes.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn parse(bytes: &[u8]) -> Message {
    read(bytes).unwrap_or_else(|e| panic!("{e}\n{}", String::from_utf8_lossy(bytes)))
}

fn invite(bytes: &[u8]) -> Request {
    match parse(bytes) {
        Message::Request(request) => request,
        Message::Response(_) => panic!(),
    }
}

/// Pushes bytes and gives what comes out.
fn push(call: &mut Call, bytes: &[u8], now: Now) -> Vec<Output> {
    let message = parse(bytes);
    assert!(call.owns(&message), "{}", String::from_utf8_lossy(bytes));
    let mut out = Vec::new();
    call.handle(
        Input::Message {
            message: &message,
            source: source(),
        },
        now,
        &mut out,
    );
    out
}

fn act(call: &mut Call, input: Input<'_>, now: Now) -> Vec<Output> {
    let mut out = Vec::new();
    call.handle(input, now, &mut out);
    out
}

fn sent(out: &[Output]) -> Vec<Vec<u8>> {
    out.iter()
        .filter_map(|output| match output {
            Output::Send { bytes, .. } => Some(bytes.clone()),
            _ => None,
        })
        .collect()
}

/// First lines of what was sent, and the events, as words.
fn told(out: &[Output]) -> Vec<String> {
    out.iter()
        .map(|output| match output {
            Output::Send { bytes, .. } => String::from_utf8_lossy(bytes)
                .lines()
                .next()
                .unwrap_or_default()
                .replace(" SIP/2.0", "")
                .replace("SIP/2.0 ", ""),
            Output::Incoming { .. } => "incoming".to_owned(),
            Output::Ringing => "ringing".to_owned(),
            Output::Answered { .. } => "answered".to_owned(),
            Output::Confirmed { .. } => "confirmed".to_owned(),
            Output::Reoffer { .. } => "reoffer".to_owned(),
            Output::Ended(how) => format!("{how:?}"),
        })
        .collect()
}

fn ms(n: u64) -> Now {
    Now::from_millis(n)
}

/// Runs timeouts until `end`, and says when what was sent.
fn run(call: &mut Call, end: Now) -> Vec<(u128, String)> {
    let mut seen = Vec::new();
    while let Some(at) = call.next_timeout().filter(|at| *at <= end) {
        let out = act(call, Input::Timeout, at);
        seen.extend(told(&out).into_iter().map(|line| (at.as_millis(), line)));
    }
    seen
}

fn answering() -> (Call, String) {
    let mut out = Vec::new();
    let request = invite(&rtc("INVITE", 1, "", OFFER));
    let mut call = Call::incoming(
        local(1, Transport::Udp),
        &request,
        source(),
        ms(0),
        &mut out,
    );
    assert_eq!(told(&out), ["100 Trying", "incoming"]);
    assert!(matches!(&out[1], Output::Incoming { offer } if offer == OFFER));
    assert_eq!(told(&act(&mut call, Input::Ring, ms(10))), ["180 Ringing"]);
    let out = act(&mut call, Input::Answer(ANSWER), ms(20));
    assert_eq!(told(&out), ["200 OK"]);
    let Message::Response(ok) = parse(&sent(&out)[0]) else {
        panic!()
    };
    assert_eq!(ok.fields.body, ANSWER);
    assert_eq!(ok.fields.vias[0].as_str(), "SIP/2.0/UDP 10.0.0.5:9315");
    assert_eq!(
        ok.fields
            .contact
            .as_ref()
            .map(ToString::to_string)
            .as_deref(),
        Some("sip:bridge@10.0.0.9:13455")
    );
    (call, ok.fields.to.tag.unwrap().to_string())
}

fn talking() -> (Call, String) {
    let (mut call, tag) = answering();
    let out = push(&mut call, &rtc("ACK", 1, &tag, b""), ms(30));
    assert_eq!(told(&out), ["confirmed"]);
    assert_eq!(call.next_timeout(), None);
    (call, tag)
}

#[test]
fn a_call_of_rtc_from_invite_to_bye() {
    let (mut call, tag) = talking();
    let bye = rtc("BYE", 2, &tag, b"");
    assert_eq!(told(&push(&mut call, &bye, ms(40))), ["200 OK", "ByPeer"]);
    // Repeated, because our 200 was lost: the same answer, no second end.
    assert_eq!(told(&push(&mut call, &bye, ms(540))), ["200 OK"]);
    assert!(!call.finished());
    run(&mut call, ms(100_000));
    assert!(call.finished());
}

#[test]
fn the_answer_is_repeated_until_its_ack_and_then_the_call_is_given_up() {
    let (mut call, _) = answering();
    let seen = run(&mut call, ms(33_000));
    let oks: Vec<u128> = seen
        .iter()
        .filter(|(_, line)| line == "200 OK")
        .map(|(at, _)| *at)
        .collect();
    assert_eq!(
        oks,
        [
            520, 1520, 3520, 7520, 11520, 15520, 19520, 23520, 27520, 31520
        ]
    );
    let rest: Vec<&str> = seen
        .iter()
        .filter(|(_, line)| line != "200 OK")
        .map(|(_, line)| line.as_str())
        .collect();
    assert_eq!(
        rest,
        [
            "BYE sip:10.0.0.5:9315",
            "Unconfirmed",
            "BYE sip:10.0.0.5:9315"
        ]
    );
}

#[test]
fn a_repeated_invite_is_absorbed_in_every_state() {
    let first = rtc("INVITE", 1, "", OFFER);
    let mut out = Vec::new();
    let mut call = Call::incoming(
        local(1, Transport::Udp),
        &invite(&first),
        source(),
        ms(0),
        &mut out,
    );
    assert_eq!(told(&push(&mut call, &first, ms(1))), ["100 Trying"]);
    act(&mut call, Input::Ring, ms(2));
    assert_eq!(told(&push(&mut call, &first, ms(3))), ["180 Ringing"]);
    act(&mut call, Input::Answer(ANSWER), ms(4));
    assert_eq!(told(&push(&mut call, &first, ms(5))), ["200 OK"]);
}

#[test]
fn a_cancel_without_branch_finds_its_invite() {
    let mut out = Vec::new();
    let request = invite(&rtc("INVITE", 1, "", OFFER));
    let mut call = Call::incoming(
        local(1, Transport::Udp),
        &request,
        source(),
        ms(0),
        &mut out,
    );
    let out = push(&mut call, &rtc("CANCEL", 1, "", b""), ms(10));
    assert_eq!(
        told(&out),
        ["200 OK", "487 Request Terminated", "Cancelled"]
    );
    // The refusal is repeated until the ACK.
    assert_eq!(
        run(&mut call, ms(511)),
        [(510, "487 Request Terminated".to_owned())]
    );
    assert_eq!(
        told(&push(&mut call, &rtc("ACK", 1, "", b""), ms(600))),
        Vec::<String>::new()
    );
    run(&mut call, ms(40_000));
    assert!(call.finished());
}

#[test]
fn a_cancel_that_comes_too_late_changes_nothing() {
    let (mut call, _) = answering();
    assert_eq!(
        told(&push(&mut call, &rtc("CANCEL", 1, "", b""), ms(30))),
        ["200 OK"]
    );
    assert!(call.is_established());
}

#[test]
fn a_cancel_of_another_invite_is_481() {
    let (mut call, tag) = talking();
    let out = push(&mut call, &rtc("CANCEL", 9, &tag, b""), ms(50));
    assert_eq!(told(&out), ["481 Call/Transaction Does Not Exist"]);
}

#[test]
fn nothing_in_a_call_is_left_without_an_answer() {
    let cases = [
        ("OPTIONS", "200 OK"),
        ("INFO", "200 OK"),
        ("MESSAGE", "405 Method Not Allowed"),
        ("REFER", "405 Method Not Allowed"),
        ("SUBSCRIBE", "405 Method Not Allowed"),
        ("UPDATE", "405 Method Not Allowed"),
        ("FOO", "501 Not Implemented"),
    ];
    let (mut call, tag) = talking();
    for (i, (method, expected)) in (2..).zip(cases) {
        let request = rtc(method, i, &tag, b"");
        let out = push(&mut call, &request, ms(50));
        assert_eq!(told(&out), [expected], "{method}");
        let again = push(&mut call, &request, ms(60));
        assert_eq!(sent(&again), sent(&out), "{method} repeated");
    }
    assert_eq!(
        told(&push(&mut call, &rtc("INFO", 1, &tag, b""), ms(70))),
        ["500 Server Internal Error"],
        "a number that goes back"
    );
}

#[test]
fn a_changed_session_is_offered_again_and_a_refusal_keeps_the_old_one() {
    let (mut call, tag) = talking();
    let again = rtc("INVITE", 2, &tag, OFFER);
    assert_eq!(
        told(&push(&mut call, &again, ms(50))),
        ["100 Trying", "reoffer"]
    );
    assert_eq!(
        told(&act(&mut call, Input::Answer(ANSWER), ms(60))),
        ["200 OK"]
    );
    assert_eq!(told(&push(&mut call, &again, ms(70))), ["200 OK"]);
    assert_eq!(
        told(&push(&mut call, &rtc("ACK", 2, &tag, b""), ms(80))),
        ["confirmed"]
    );
    push(&mut call, &rtc("INVITE", 3, &tag, OFFER), ms(90));
    let refuse = Input::Refuse {
        status: 488,
        words: "Not Acceptable Here",
        warning: None,
    };
    assert_eq!(
        told(&act(&mut call, refuse, ms(100))),
        ["488 Not Acceptable Here"]
    );
    push(&mut call, &rtc("ACK", 3, &tag, b""), ms(110));
    assert!(call.is_established());
    assert_eq!(call.next_timeout(), None);
    let stale = rtc("INVITE", 2, &tag, OFFER);
    assert_eq!(
        told(&push(&mut call, &stale, ms(120))),
        ["500 Server Internal Error"]
    );
}

#[test]
fn what_an_invite_may_not_ask_is_refused_at_once() {
    let plain = String::from_utf8(rtc("INVITE", 1, "", OFFER)).unwrap();
    let cases = [
        (
            plain.replace("Max-", "Require: 100rel\r\nMax-"),
            "420 Bad Extension",
        ),
        (
            plain.replace("application/sdp", "application/x-ms-mim"),
            "415 Unsupported Media Type",
        ),
    ];
    for (text, expected) in cases {
        let mut out = Vec::new();
        let mut call = Call::incoming(
            local(1, Transport::Udp),
            &invite(text.as_bytes()),
            source(),
            ms(0),
            &mut out,
        );
        assert_eq!(told(&out), [expected, "ByUs"]);
        assert_eq!(run(&mut call, ms(501)), [(500, expected.to_owned())]);
        push(&mut call, &rtc("ACK", 1, "", b""), ms(600));
        run(&mut call, ms(90_000));
        assert!(call.finished());
    }
}

#[test]
fn we_hang_up_and_the_bye_is_repeated_until_answered() {
    let (mut call, tag) = talking();
    let out = act(&mut call, Input::HangUp, ms(1000));
    assert_eq!(told(&out), ["BYE sip:10.0.0.5:9315", "ByUs"]);
    let Message::Request(bye) = parse(&sent(&out)[0]) else {
        panic!()
    };
    assert_eq!(
        bye.fields.from.tag.as_ref().map(Text::as_str),
        Some(tag.as_str())
    );
    assert_eq!(
        bye.fields.to.tag.as_ref().map(Text::as_str),
        Some("0e5a1b2c-7d33-4f0a")
    );
    assert_eq!(
        run(&mut call, ms(3000)),
        [
            (1500, "BYE sip:10.0.0.5:9315".to_owned()),
            (2500, "BYE sip:10.0.0.5:9315".to_owned())
        ]
    );
    let ok = Draft::reply(200, "OK", None, &bye.fields, None).finish();
    assert_eq!(told(&push(&mut call, &ok, ms(3000))), Vec::<String>::new());
    assert_eq!(run(&mut call, ms(60_000)), []);
    assert!(call.finished());
}

fn calling(transport: Transport) -> (Call, Request) {
    let mut out = Vec::new();
    let call = Call::outgoing(
        local(2, transport),
        Uri::userless(Ipv4Addr::new(10, 0, 0, 5), 9315),
        OFFER,
        ms(0),
        &mut out,
    );
    assert_eq!(told(&out), ["INVITE sip:10.0.0.5:9315"]);
    let request = invite(&sent(&out)[0]);
    assert_eq!(request.fields.max_forwards, Some(70));
    assert_eq!(request.fields.other("Require"), None);
    assert_eq!(request.fields.other("Supported"), None);
    (call, request)
}

fn respond_to(request: &Request, status: u16, sdp: &[u8]) -> Vec<u8> {
    let tag = Token::new("theirs").unwrap();
    let draft = Draft::reply(status, reason_of(status), None, &request.fields, Some(&tag))
        .header("Contact", &Text::new("<sip:10.0.0.5:9999>").unwrap());
    if sdp.is_empty() {
        draft.finish()
    } else {
        draft.with_sdp(sdp)
    }
}

fn reason_of(status: u16) -> &'static str {
    write::reason(status)
}

#[test]
fn an_invite_nobody_answers_is_repeated_on_udp_and_given_up() {
    let (mut call, _) = calling(Transport::Udp);
    let seen = run(&mut call, ms(32_000));
    let times: Vec<u128> = seen.iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [500, 1500, 3500, 7500, 15500, 31500, 32000]);
    assert_eq!(seen.last().unwrap().1, "Unreachable");
}

#[test]
fn on_tcp_nothing_is_repeated() {
    let (mut call, request) = calling(Transport::Tcp);
    assert!(request.fields.vias[0].as_str().starts_with("SIP/2.0/TCP "));
    assert_eq!(
        run(&mut call, ms(32_000)),
        [(32_000, "Unreachable".to_owned())]
    );
    assert!(call.finished());
}

#[test]
fn a_call_of_ours_is_answered_and_its_ack_repeated_with_the_answer() {
    let (mut call, request) = calling(Transport::Udp);
    assert_eq!(
        told(&push(&mut call, &respond_to(&request, 100, b""), ms(10))),
        Vec::<String>::new()
    );
    assert_eq!(
        run(&mut call, ms(10_000)),
        [],
        "no repetition once heard of"
    );
    assert_eq!(
        told(&push(
            &mut call,
            &respond_to(&request, 180, b""),
            ms(10_001)
        )),
        ["ringing"]
    );
    let ok = respond_to(&request, 200, ANSWER);
    let out = push(&mut call, &ok, ms(10_002));
    assert_eq!(told(&out), ["ACK sip:10.0.0.5:9999", "answered"]);
    let Message::Request(ack) = parse(&sent(&out)[0]) else {
        panic!()
    };
    assert_ne!(ack.fields.via.branch, request.fields.via.branch);
    assert_eq!(ack.fields.to.tag.as_ref().map(Text::as_str), Some("theirs"));
    assert_eq!(
        told(&push(&mut call, &ok, ms(10_502))),
        ["ACK sip:10.0.0.5:9999"]
    );
    assert!(call.is_established());
}

#[test]
fn a_refusal_is_acknowledged_in_the_transaction_of_the_invite() {
    for status in [302, 401, 404, 486, 487, 488, 500, 603] {
        let (mut call, request) = calling(Transport::Udp);
        let refusal = respond_to(&request, status, b"");
        let out = push(&mut call, &refusal, ms(10));
        assert_eq!(
            told(&out),
            [
                "ACK sip:10.0.0.5:9315".to_owned(),
                format!("Refused({status})")
            ]
        );
        let Message::Request(ack) = parse(&sent(&out)[0]) else {
            panic!()
        };
        assert_eq!(ack.fields.via.branch, request.fields.via.branch);
        assert_eq!(
            told(&push(&mut call, &refusal, ms(510))),
            ["ACK sip:10.0.0.5:9315"]
        );
        run(&mut call, ms(90_000));
        assert!(call.finished());
    }
}

#[test]
fn a_call_of_ours_is_taken_back_only_after_something_was_heard() {
    let (mut call, request) = calling(Transport::Udp);
    assert_eq!(told(&act(&mut call, Input::HangUp, ms(10))), ["ByUs"]);
    assert_eq!(run(&mut call, ms(1000)), []);
    let out = push(&mut call, &respond_to(&request, 180, b""), ms(1001));
    assert_eq!(told(&out), ["CANCEL sip:10.0.0.5:9315"]);
    let cancel = invite(&sent(&out)[0]);
    assert_eq!(cancel.fields.via.branch, request.fields.via.branch);
    assert_eq!(cancel.fields.to.tag, None);
    push(&mut call, &respond_to(&cancel, 200, b""), ms(1002));
    let out = push(&mut call, &respond_to(&request, 487, b""), ms(1003));
    assert_eq!(told(&out), ["ACK sip:10.0.0.5:9315"]);
    run(&mut call, ms(90_000));
    assert!(call.finished());
}

#[test]
fn an_answer_that_crosses_our_cancel_is_confirmed_and_ended() {
    let (mut call, request) = calling(Transport::Udp);
    push(&mut call, &respond_to(&request, 180, b""), ms(1));
    assert_eq!(
        told(&act(&mut call, Input::HangUp, ms(2))),
        ["CANCEL sip:10.0.0.5:9315", "ByUs"]
    );
    let out = push(&mut call, &respond_to(&request, 200, ANSWER), ms(3));
    assert_eq!(
        told(&out),
        ["ACK sip:10.0.0.5:9999", "BYE sip:10.0.0.5:9999"]
    );
}

#[test]
fn a_call_that_only_rings_ends() {
    let (mut call, request) = calling(Transport::Udp);
    push(&mut call, &respond_to(&request, 180, b""), ms(1));
    let seen = run(&mut call, ms(180_001));
    assert_eq!(
        seen,
        [
            (180_001, "CANCEL sip:10.0.0.5:9315".to_owned()),
            (180_001, "NotAnswered".to_owned())
        ]
    );
}

#[test]
fn an_agent_without_tags_can_hang_up() {
    let (mut call, request) = calling(Transport::Udp);
    let ok = Draft::reply(200, "OK", None, &request.fields, None).with_sdp(ANSWER);
    push(&mut call, &ok, ms(1));
    assert!(call.is_established());
    let bye = format!(
        "BYE sip:bridge@10.0.0.9:13455 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.5:9315\r\n\
         From: <sip:10.0.0.5:9315>\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
        request.fields.from.value, request.fields.call_id
    );
    assert_eq!(
        told(&push(&mut call, bye.as_bytes(), ms(2))),
        ["200 OK", "ByPeer"]
    );
}

#[test]
fn messages_of_other_calls_are_not_ours() {
    let (call, tag) = talking();
    let text = String::from_utf8(rtc("BYE", 2, &tag, b"")).unwrap();
    for other in [
        text.replace("6F96@", "7F96@"),
        text.replace(&tag, "ffff"),
        text.replace("0e5a1b2c", "1e5a1b2c"),
    ] {
        assert!(!call.owns(&parse(other.as_bytes())), "{other}");
    }
}

#[test]
fn the_sender_behind_a_translator_is_told_where_it_is() {
    let text = String::from_utf8(rtc("OPTIONS", 1, "", b"")).unwrap();
    let cases = [
        ("10.0.0.5:9315", "SIP/2.0/UDP 10.0.0.5:9315"),
        (
            "192.168.0.2:9315",
            "SIP/2.0/UDP 192.168.0.2:9315;received=10.0.0.5",
        ),
        (
            "10.0.0.5:1;rport;branch=z9hG4bKa",
            "SIP/2.0/UDP 10.0.0.5:1;rport=9315;branch=z9hG4bKa;received=10.0.0.5",
        ),
    ];
    for (via, expected) in cases {
        let request = invite(
            text.replacen("UDP 10.0.0.5:9315", &format!("UDP {via}"), 1)
                .as_bytes(),
        );
        let bytes = stray(&request, 481, source(), None).unwrap();
        let back = parse(&bytes);
        assert_eq!(back.fields().vias[0].as_str(), expected);
    }
}

#[test]
fn strays_are_answered_by_their_method() {
    for (method, expected) in [
        ("OPTIONS", Some("200 OK")),
        ("INVITE", Some("486 Busy Here")),
        ("BYE", Some("481 Call/Transaction Does Not Exist")),
        ("MESSAGE", Some("405 Method Not Allowed")),
        ("FOO", Some("501 Not Implemented")),
        ("ACK", None),
    ] {
        let request = invite(&rtc(method, 1, "", b""));
        let bytes = stray(&request, 486, source(), None);
        let line = bytes.map(|bytes| {
            String::from_utf8_lossy(&bytes)
                .lines()
                .next()
                .unwrap_or_default()
                .replace("SIP/2.0 ", "")
        });
        assert_eq!(line.as_deref(), expected, "{method}");
    }
}

/// Two calls against each other over a line that loses messages by a pattern; whatever is
/// lost, both sides agree in the end that the call stood and is over.
#[test]
fn a_lossy_line_only_delays_a_call() {
    for pattern in 0_u32..64 {
        let mut out = Vec::new();
        let mut caller = Call::outgoing(
            local(2, Transport::Udp),
            Uri::userless(Ipv4Addr::new(10, 0, 0, 5), 9315),
            OFFER,
            ms(0),
            &mut out,
        );
        let mut callee: Option<Call> = None;
        let mut line: Vec<(bool, Vec<u8>)> = sent(&out).into_iter().map(|b| (true, b)).collect();
        let (mut events, mut count, mut now) = (Vec::new(), 0, ms(0));
        let mut hung_up = false;
        for _ in 0..200 {
            while let Some((to_callee, bytes)) = line.first().cloned() {
                line.remove(0);
                count += 1;
                // The first six messages are lost as the pattern says.
                if count <= 6 && pattern & (1 << (count - 1)) != 0 {
                    continue;
                }
                let message = parse(&bytes);
                let mut out = Vec::new();
                let input = Input::Message {
                    message: &message,
                    source: source(),
                };
                if to_callee {
                    match (&mut callee, &message) {
                        (None, Message::Request(request)) if request.method == Method::Invite => {
                            let mut call = Call::incoming(
                                local(3, Transport::Udp),
                                request,
                                source(),
                                now,
                                &mut out,
                            );
                            call.handle(Input::Answer(ANSWER), now, &mut out);
                            callee = Some(call);
                        }
                        (Some(call), message) if call.owns(message) => {
                            call.handle(input, now, &mut out)
                        }
                        _ => {}
                    }
                } else if caller.owns(&message) {
                    caller.handle(input, now, &mut out);
                }
                events.extend(told(&out).into_iter().filter(|line| !line.contains(' ')));
                line.extend(sent(&out).into_iter().map(|b| (!to_callee, b)));
            }
            let confirmed = events.iter().any(|e| e == "confirmed");
            if confirmed && !hung_up {
                hung_up = true;
                let out = act(&mut caller, Input::HangUp, now);
                line.extend(sent(&out).into_iter().map(|b| (true, b)));
                continue;
            }
            let next = [
                caller.next_timeout(),
                callee.as_ref().and_then(Call::next_timeout),
            ];
            let Some(at) = next.into_iter().flatten().min() else {
                break;
            };
            now = at;
            for (call, to_callee) in [(Some(&mut caller), true), (callee.as_mut(), false)] {
                if let Some(call) = call {
                    let out = act(call, Input::Timeout, now);
                    events.extend(told(&out).into_iter().filter(|line| !line.contains(' ')));
                    line.extend(sent(&out).into_iter().map(|b| (to_callee, b)));
                }
            }
        }
        assert_eq!(
            events,
            ["incoming", "answered", "confirmed", "ByPeer"],
            "pattern {pattern:06b}"
        );
        assert!(
            caller.finished() && callee.unwrap().finished(),
            "pattern {pattern:06b}"
        );
    }
}
