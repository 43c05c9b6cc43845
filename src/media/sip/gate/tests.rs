//! Every row of ANCHORS.md C.2 for rsip, and bent messages.

use proptest::prelude::*;

use super::*;

/// Puts one header line into an otherwise plain INVITE.
fn with(line: &str) -> String {
    format!(
        "INVITE sip:10.0.0.9:5062 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.5:9000\r\n\
         From: <sip:a@example.com>;tag=1\r\nTo: <sip:10.0.0.9:5062>\r\nCall-ID: x@10.0.0.5\r\n\
         CSeq: 1 INVITE\r\n{line}Content-Length: 0\r\n\r\n"
    )
}

fn request(text: &str) -> Request {
    match read(text.as_bytes()) {
        Ok(Message::Request(request)) => request,
        other => panic!("{text}\n{other:?}"),
    }
}

fn status(text: &[u8]) -> u16 {
    match read(text) {
        Err(Error::Refused(refusal)) => refusal.status,
        other => panic!("{}\n{other:?}", String::from_utf8_lossy(text)),
    }
}

#[test]
fn the_invite_of_rtc_is_read() {
    let text = "INVITE sip:192.168.1.9:13455 SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.5:9315\r\n\
        From: \"alice@example.com\" <sip:alice@example.com>;tag=0e5a1b2c-7d33-4f0a-9b0c-3c55e0d2f1aa\r\n\
        To: <sip:192.168.1.9:13455>\r\nCall-ID: 6F9619FF-8B86-D011-B42D-00C04FC964FF@192.168.1.5\r\n\
        CSeq: 1 INVITE\r\nContact: <sip:192.168.1.5:9315>\r\nMax-Forwards: 70\r\n\
        User-Agent: Windows RTC/1.0\r\nContent-Type: application/sdp\r\nContent-Length: 3\r\n\r\nv=0";
    let request = request(text);
    assert_eq!(request.method, Method::Invite);
    assert_eq!(request.uri.to_string(), "sip:192.168.1.9:13455");
    assert_eq!(request.uri.user(), None);
    let fields = &request.fields;
    assert_eq!(fields.via.branch, None);
    assert!(!fields.via.rport);
    assert_eq!(fields.via.port, Some(9315));
    assert_eq!(
        fields.from.tag.as_ref().map(Text::as_str),
        Some("0e5a1b2c-7d33-4f0a-9b0c-3c55e0d2f1aa")
    );
    assert_eq!(fields.to.tag, None);
    assert_eq!(
        fields.contact.as_ref().map(ToString::to_string).as_deref(),
        Some("sip:192.168.1.5:9315")
    );
    assert_eq!(fields.max_forwards, Some(70));
    assert_eq!(
        fields.other("user-agent").map(Text::as_str),
        Some("Windows RTC/1.0")
    );
    assert!(fields.has_sdp());
    assert_eq!(fields.body, b"v=0");
}

/// The rows of ANCHORS.md C.2, in their order: what must be read although rsip alone refuses.
#[test]
fn legal_forms_that_rsip_refuses_are_read() {
    let compact = "INVITE sip:10.0.0.9 SIP/2.0\r\nv: SIP/2.0/UDP 10.0.0.5\r\nf: <sip:a@b>;tag=1\r\n\
                   t: <sip:c@d>\r\ni: x\r\nm: <sip:10.0.0.5:9000>\r\nc: application/sdp\r\n\
                   CSeq: 1 INVITE\r\nl: 2\r\n\r\nv=";
    let read = request(compact);
    assert!(read.fields.has_sdp());
    assert_eq!(read.fields.contact.unwrap().port(), Some(9000));

    let folded = with("Subject: one\r\n two\r\n\tthree\r\n");
    let read = request(&folded);
    assert_eq!(
        read.fields.other("Subject").unwrap().as_str(),
        "one two three"
    );

    assert_eq!(
        request(&with("Max-Forwards : 7\r\n")).fields.max_forwards,
        Some(7)
    );
    request(&format!("\r\n\r\n{}", with("")));
    let foo = request(&with("").replace("INVITE", "FOO"));
    assert_eq!(foo.method.as_str(), "FOO");
    let lower = request(&with("").replace("INVITE", "invite"));
    assert_eq!(lower.method, Method::Invite);

    let two = request(&with(
        "Via: SIP/2.0/UDP 10.1.1.1;branch=z9hG4bKb, SIP/2.0/TCP 10.2.2.2\r\n",
    ));
    assert_eq!(two.fields.vias.len(), 3);

    let dotted = request(&with("Contact: <sip:john.doe@10.0.0.5:9000>\r\n"));
    let contact = dotted.fields.contact.unwrap();
    assert_eq!(contact.user(), Some("john.doe"));
    assert_eq!(contact.host(), &Host::V4([10, 0, 0, 5].into()));

    let odd = request(&with("").replace("<sip:a@example.com>", "\"a<b>;tag=9\" <sip:a@b>"));
    assert_eq!(odd.fields.from.tag.unwrap().as_str(), "1");
    let tel = request(&with("").replace("<sip:a@example.com>", "<tel:+123>"));
    assert!(tel.fields.from.value.as_str().contains("+123"));
    let ipv6 = request(&with("").replace("<sip:a@example.com>", "<sip:a@[::1]>"));
    assert!(ipv6.fields.from.value.as_str().contains("[::1]"));
    let plain = request(&with("").replace("<sip:a@example.com>;tag=1", "sip:a@b;tag=77"));
    assert_eq!(plain.fields.from.tag.unwrap().as_str(), "77");

    for via in [
        "SIP / 2.0 / UDP 10.0.0.5:9000",
        "sip/2.0/udp 10.0.0.5:9000",
        "SIP/2.0/UDP   10.0.0.5 : 9000 ; branch = z9hG4bKx ; rport",
    ] {
        let text = with("").replace("SIP/2.0/UDP 10.0.0.5:9000", via);
        assert_eq!(request(&text).fields.via.port, Some(9000), "{via}");
    }
    // Line ends of LF alone, and no Content-Length: the datagram is the message.
    let lf = with("")
        .replace("Content-Length: 0\r\n", "")
        .replace("\r\n", "\n");
    request(&lf);
}

/// The other rows: what must be refused although rsip accepts.
#[test]
fn what_rsip_accepts_but_nobody_should_is_refused() {
    let uri = |uri: &str| with("").replacen("sip:10.0.0.9:5062", uri, 1);
    let cases = [
        (uri("sip:[::1]:5060"), 400),
        (uri("tel:+123"), 416),
        (uri("http://h"), 416),
        (uri("sip:a b@h"), 400),
        (uri("sip:h:0"), 400),
        (uri("sip:h:99999"), 400),
        (uri("sip:-evil"), 400),
        (uri("sip:-oProxyCommand=x@h"), 400),
        (uri("sip:"), 400),
        (uri("sip:a@"), 400),
        (uri("sip:127.1"), 400),
        (
            with("").replace("SIP/2.0/UDP 10.0.0.5:9000", "SIP/2.0/UDP [::1]:9000"),
            400,
        ),
        (with("Contact: <sip:[::1]>\r\n"), 400),
        (with("Contact: <sip:-x@10.0.0.1>\r\n"), 400),
        (with("Content-Length: 0\r\n"), 400),
        (with("l: 0\r\n"), 400),
        (with("").replace("Length: 0", "Length: -1"), 400),
        (with("").replace("Length: 0", "Length: 10"), 400),
        (with("From: <sip:z@z>\r\n"), 400),
        (with("f: <sip:z@z>\r\n"), 400),
        (with("Call-ID: y\r\n"), 400),
        (with("CSeq: 2 INVITE\r\n"), 400),
        (with("").replace("CSeq: 1 INVITE", "CSeq: 1 BYE"), 400),
        (
            with("").replace("CSeq: 1 INVITE", "CSeq: 4294967296 INVITE"),
            400,
        ),
        (with("").replace("CSeq: 1 INVITE", "CSeq: -1 INVITE"), 400),
        (with("").replace("tag=1", "tag=1;tag=2"), 400),
        (with("Subject: a\rb\r\n"), 400),
        (with("Subject: a\0b\r\n"), 400),
        (with("no colon here\r\n"), 400),
        (with("").replace("SIP/2.0\r\nVia", "SIP/3.0\r\nVia"), 505),
        (with(&"X: y\r\n".repeat(MAX_HEADERS)), 400),
        (with(&format!("X: {}\r\n", "y".repeat(MAX_VALUE + 1))), 513),
        (with(&format!("X: {}\r\n", "y".repeat(2000)).repeat(5)), 513),
        (
            with("Via: SIP/2.0/UDP h\r\n").replace(
                "Via: SIP/2.0/UDP 10.0.0.5:9000\r\n",
                &"Via: SIP/2.0/UDP h\r\n".repeat(MAX_VIAS + 1),
            ),
            400,
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(status(text.as_bytes()), expected, "{text}");
    }
    let mut latin = with("Subject: x\r\n").into_bytes();
    let at = latin.windows(4).position(|w| w == b": x\r").unwrap() + 2;
    latin[at] = 0xE9;
    assert_eq!(status(&latin), 400);
}

#[test]
fn what_is_no_sip_is_told_apart_and_left_alone() {
    assert_eq!(read(b"\r\n\r\n"), Err(Error::KeepAlive));
    assert_eq!(read(b"\0\0\0\0"), Err(Error::KeepAlive));
    assert_eq!(read(b""), Err(Error::KeepAlive));
    assert_eq!(read(&[b'x'; MAX_MESSAGE + 1]), Err(Error::TooLong));
    for bytes in [
        b"GET / HTTP/1.1\r\n\r\n".as_slice(),
        b"NOTIFY * HTTP/1.1\r\n\r\n",
        b"\x80\x00\x12\x34",
        b"hello",
        b"\xff\xff\xff\xffgetinfo",
    ] {
        assert_eq!(read(bytes), Err(Error::NotSip));
    }
    assert!(matches!(
        read(b"SIP/2.0 99 x\r\n\r\n"),
        Err(Error::Response(_))
    ));
}

#[test]
fn a_refusal_can_be_matched_by_its_sender_and_an_ack_gets_none() {
    let Err(Error::Refused(refusal)) = read(with("Call-ID: y\r\n").as_bytes()) else {
        panic!()
    };
    let bytes = refusal.response().unwrap();
    let Ok(Message::Response(back)) = read(&bytes) else {
        panic!()
    };
    assert_eq!(back.status, 400);
    assert_eq!(back.fields.call_id.as_str(), "x@10.0.0.5");
    assert_eq!(back.fields.vias[0].as_str(), "SIP/2.0/UDP 10.0.0.5:9000");

    let ack = with("Call-ID: y\r\n").replace("INVITE", "ACK");
    let Err(Error::Refused(refusal)) = read(ack.as_bytes()) else {
        panic!()
    };
    assert_eq!(refusal.response(), None);
    let nothing = "INVITE sip:h SIP/2.0\r\nSubject: a\0\r\n\r\n";
    let Err(Error::Refused(refusal)) = read(nothing.as_bytes()) else {
        panic!()
    };
    assert_eq!(refusal.response(), None);
}

#[test]
fn errors_do_not_hold_the_packet() {
    let text = with(&format!("Subject: {}\0\r\n", "SECRET ".repeat(100)));
    let error = read(text.as_bytes()).unwrap_err();
    assert!(!error.to_string().contains("SECRET"));
    assert!(error.to_string().len() < 100);
}

#[test]
fn a_contact_keeps_its_parameters_and_loses_its_headers() {
    for (written, expected) in [
        (
            "<sip:a@10.0.0.5:9000;ob;transport=tcp?X=y>;expires=3",
            "sip:a@10.0.0.5:9000;ob;transport=tcp",
        ),
        ("sip:10.0.0.5:9000;expires=3", "sip:10.0.0.5:9000"),
        ("\"x, y\" <sip:10.0.0.5>, <sip:other>", "sip:10.0.0.5"),
        (
            "<sip:10.0.0.5;gr=urn:uuid:f81d4fae-7dec>",
            "sip:10.0.0.5;gr=urn:uuid:f81d4fae-7dec",
        ),
    ] {
        let request = request(&with(&format!("Contact: {written}\r\n")));
        assert_eq!(request.fields.contact.unwrap().to_string(), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&bytes);
    }

    #[test]
    fn a_bent_invite_never_panics_and_never_answers_in_two_lines(
        at in 0_usize..360, bytes in proptest::collection::vec(any::<u8>(), 0..6), remove in 0_usize..6
    ) {
        let mut text = with("Contact: <sip:10.0.0.5:9000;x=y>\r\nSubject: a\r\n b\r\n").into_bytes();
        let at = at.min(text.len());
        let end = (at + remove).min(text.len());
        text.splice(at..end, bytes);
        match read(&text) {
            Err(Error::Refused(refusal)) => {
                if let Some(bytes) = refusal.response() {
                    prop_assert!(matches!(read(&bytes), Ok(Message::Response(_)) | Err(Error::Response(_))));
                }
            }
            Ok(Message::Request(request)) => {
                let bytes = Draft::reply(200, "OK", None, &request.fields, None).finish();
                let Ok(Message::Response(back)) = read(&bytes) else { panic!("{request:?}") };
                prop_assert_eq!(back.fields.vias, request.fields.vias);
                prop_assert_eq!(back.fields.call_id, request.fields.call_id);
                prop_assert!(back.fields.others.is_empty());
            }
            _ => {}
        }
    }

    #[test]
    fn what_the_writer_writes_reads_back(
        user in "[a-zA-Z0-9_.]{1,20}", ip in 1_u32.., port in 1_u16.., value in "[ -~]{0,60}",
        number in 0_u32..(1 << 31), body in proptest::collection::vec(any::<u8>(), 1..200)
    ) {
        let uri = Uri::of(&Token::new(user).unwrap(), ip.into(), port);
        let value = Text::new(value.trim()).unwrap();
        let bytes = Draft::request(&Method::Info, &uri)
            .header("Via", &Text::new("SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1").unwrap())
            .header("From", &Text::new("<sip:a@b>;tag=2").unwrap())
            .header("To", &Text::new("<sip:c@d>").unwrap())
            .header("Call-ID", &Text::new("call").unwrap())
            .header("CSeq", &Text::new(format!("{number} INFO")).unwrap())
            .header("Subject", &value)
            .with_sdp(&body);
        let Ok(Message::Request(back)) = read(&bytes) else { panic!("{:?}", read(&bytes)) };
        prop_assert_eq!(back.uri, uri);
        prop_assert_eq!(back.fields.other("Subject").unwrap(), &value);
        prop_assert_eq!(back.fields.body, body);
        prop_assert_eq!(back.fields.cseq.number, number);
    }
}
