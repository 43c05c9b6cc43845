//! The rows of the table, and that neither splits nor hostile bytes matter.

use proptest::prelude::*;

use super::*;

/// DirectPlay 4, an enumeration request of 52 bytes.
fn play() -> Vec<u8> {
    let mut bytes = vec![0x34, 0, 0xb0, 0xfa, 2, 0];
    bytes.resize(20, 0);
    bytes.extend_from_slice(b"play\x02\0\x0e\0");
    bytes.resize(52, 0);
    bytes
}

fn tpkt(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len() + 4).unwrap();
    let mut bytes = vec![3, 0];
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(content);
    bytes
}

/// An X.224 TPDU with that code and variable part.
fn x224(code: u8, variable: &[u8]) -> Vec<u8> {
    let indicator = u8::try_from(6 + variable.len()).unwrap();
    let mut content = vec![indicator, code, 0, 0, 0, 0, 0];
    content.extend_from_slice(variable);
    tpkt(&content)
}

fn known() -> Vec<(Vec<u8>, Protocol)> {
    use Protocol::*;
    let cookie = b"Cookie: mstshash=alice\r\n\x01\0\x08\0\x03\0\0\0";
    let words: [(&[u8], Protocol); 17] = [
        (b"INVITE sip:192.0.2.1:5060 SIP/2.0\r\nVia: x\r\n", Sip),
        (b"\r\n\r\nOPTIONS sip:x SIP/2.0\r\n", Sip),
        (b"SIP/2.0 200 OK\r\n", Sip),
        (b"NOTIFY sip:a@b SIP/2.0\r\nEvent: presence\r\n", Sip),
        (b"NOTIFY /event HTTP/1.1\r\nNT: upnp:event\r\n", UpnpEvent),
        (b"GET / HTTP/1.0\r\n\r\n", Http),
        (b"POST /control HTTP/1.1\r\nSOAPAction: x\r\n", Http),
        (b"HEAD /x SIP/2.0 HTTP/1.1\r\n", Http),
        (b"M-POST /control HTTP/1.1\r\n", Http),
        (b"GET / HTTP/1.1\n", Http),
        (b"HTTP/1.1 404 Not Found\r\n", Http),
        (b"VER MSNFTP\r\n", Msnftp),
        (b"RFB 003.008\n", Rfb),
        (b"\x03\0\0\x0b\x06\xe0\0\0\0\0\0", T120Request),
        (b"\x03\0\0\x0b\x06\xd0\0\0\x12\x34\0", T120Confirm),
        (
            b"\x03\0\x01\x51\x02\xf0\x80\x7f\x65\x82\x01\x45",
            McsConnect,
        ),
        (b"\x03\0\x01\x0c\x08\x02\x12\x34\x05\x04\x03", H225Setup),
    ];
    let mut all: Vec<_> = words.map(|(bytes, is)| (bytes.to_vec(), is)).to_vec();
    all.extend([
        (tpkt(&[8, 2, 0x92, 0x34, 0x5a]), H225(0x5a)),
        // The size of a TPDU, as T.120's class 0 request names it.
        (x224(0xe0, &[0xc0, 1, 0x0d]), T120Request),
        (x224(0xe0, cookie), RdpRequest),
        (x224(0xe0, b"Cookie: mstshash=bob\r\n"), RdpRequest),
        (x224(0xe0, &[1, 0, 8, 0, 0, 0, 0, 0]), RdpRequest),
        (x224(0xe0, &[1, 8, 8, 0, 1, 0, 0, 0]), RdpRequest),
        (x224(0xd0, &[2, 0x1f, 8, 0, 2, 0, 0, 0]), RdpConfirm),
        (x224(0xd0, &[3, 0, 8, 0, 5, 0, 0, 0]), RdpConfirm),
        (play(), DirectPlay4),
    ]);
    all
}

#[test]
fn each_row_of_tcp_is_told() {
    for (bytes, is) in known() {
        assert_eq!(tcp(&bytes), Seen::Known(is), "{}", bytes.escape_ascii());
    }
    assert_eq!(tcp(&[]), Seen::NeedMore(1));
}

#[test]
fn what_is_nothing_of_the_table_is_unknown() {
    let long = [b"GET /".as_slice(), &[b'a'; 5000]].concat();
    let breaks = [b'\n'; 70];
    let rows: [&[u8]; 16] = [
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"GET / HTTP/2.0\r\n",
        b"hello you\r\n",
        b"GET /\0 HTTP/1.1\r\n",
        b"GET / HTTP/1.1\rx",
        b"VER MSNP8 CVR0\r\n",
        b"NOTIFY x FTP/1.1\r\n",
        b"\x03\0\0\x0b\x06\xf0\0\0\0\0\0",
        b"\x03\0\0\x08\x06\xe0\0\0\0\0\0",
        b"\x03\0\0\x0b\xff\xe0\0\0\0\0\0",
        b"\x03\0\0\x05\x08\x02\0\0\x05",
        b"\x03\x01\0\x0b\x06\xe0",
        b"\x34\0\xb0\xfa\x03\0",
        &long,
        &breaks,
    ];
    for bytes in rows {
        assert_eq!(tcp(bytes), Seen::Unknown, "{}", bytes.escape_ascii());
    }
}

#[test]
fn each_row_of_udp_is_told() {
    let mut rtp = vec![0x80, 0x80 | 34, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4, 9];
    let play = play();
    let rows: [(&[u8], Option<Protocol>); 16] = [
        (&rtp.clone(), Some(Protocol::Rtp(34))),
        (
            b"\x90\x60\0\x01\0\0\0\0\x01\x02\x03\x04\0\0\0\0x",
            Some(Protocol::Rtp(96)),
        ),
        (b"\x81\xc8\0\x06\x01\x02\x03\x04", Some(Protocol::Rtcp(200))),
        (b"\x80\xc9\0\x01\x01\x02\x03\x04", Some(Protocol::Rtcp(201))),
        (b"\xff\xff\xff\xffgetinfo xxx", Some(Protocol::Quake3)),
        (b"\0\x02\x12\x34\x02", Some(Protocol::DirectPlay8Query)),
        (b"\0\x03\x12\x34\0\0\0\0", Some(Protocol::DirectPlay8Answer)),
        (b"OPTIONS sip:x SIP/2.0\r\nVia: y\r\n", Some(Protocol::Sip)),
        (b"SIP/2.0 100 Trying\r\n", Some(Protocol::Sip)),
        (
            b"NOTIFY * HTTP/1.1\r\nHOST: x\r\n",
            Some(Protocol::UpnpEvent),
        ),
        (b"M-SEARCH * HTTP/1.1\r\n", Some(Protocol::Http)),
        (&play, Some(Protocol::DirectPlay4)),
        (b"OPTIONS sip:x SIP/2.0", None),
        (b"VER MSNFTP\r\n", None),
        (b"\x80\xcd\0\x01\x01\x02\x03\x04", None),
        (b"", None),
    ];
    for (bytes, is) in rows {
        assert_eq!(udp(bytes), is, "{}", bytes.escape_ascii());
    }
    // Between the static and the dynamic payload types there is nothing.
    rtp[1] = 40;
    assert_eq!(udp(&rtp), None);
    // The size of a DirectPlay message may look like RTP.
    let mut both = play;
    both[0] = 0x80;
    assert_eq!(udp(&both), Some(Protocol::DirectPlay4));
}

#[test]
fn people_get_words() {
    assert_eq!(Protocol::Rtcp(203).to_string(), "RTCP, goodbye");
    assert_eq!(
        Protocol::H225(0x5a).to_string(),
        "H.323 (H.225, message type 0x5a)"
    );
}

/// Whatever came first, the answer to all of it is the same, and what a prefix asks for is needed.
fn splits_agree(bytes: &[u8]) {
    let whole = tcp(bytes);
    for end in 0..bytes.len() {
        match tcp(&bytes[..end]) {
            Seen::NeedMore(more) => {
                assert!(more > end, "{more} of {end}");
                // Nothing is decided any earlier than it says.
                for early in end..more.min(bytes.len()) {
                    assert!(matches!(tcp(&bytes[..early]), Seen::NeedMore(_)));
                }
            }
            seen => assert_eq!(seen, whole, "{} of {}", end, bytes.escape_ascii()),
        }
    }
}

#[test]
fn every_split_of_each_row_gives_the_same_answer() {
    for (mut bytes, _) in known() {
        bytes.extend_from_slice(b"\r\nand what follows HTTP/1.1\r\n");
        splits_agree(&bytes);
    }
}

proptest! {
    #[test]
    fn every_split_of_any_bytes_gives_the_same_answer(
        row in prop::sample::select(known()),
        change in prop::option::of((0_usize..30, any::<u8>())),
        cut in 0_usize..80,
        tail in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut bytes = row.0;
        if let Some((at, byte)) = change && let Some(old) = bytes.get_mut(at) {
            *old = byte;
        }
        bytes.truncate(cut);
        bytes.extend_from_slice(&tail);
        splits_agree(&bytes);
        let _ = udp(&bytes);
    }

    #[test]
    fn enough_bytes_always_decide(first in "[A-Z]{1,3} [ -~]{0,20}", byte: u8) {
        let mut bytes = first.into_bytes();
        bytes.resize(MOST, byte);
        prop_assert!(!matches!(tcp(&bytes), Seen::NeedMore(_)));
    }
}
