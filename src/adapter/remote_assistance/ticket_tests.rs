//! What a ticket is, complete or cut, and in how many messages it came.

use proptest::prelude::*;

use super::{string_one::StringOne, string_two::StringTwo, ticket::*, upload::Upload};
use crate::invitation::Message;

/// The shapes of APPLICATIONS.md 4.2, with values of our making of the right lengths.
const ONE: &str = "65538,1,192.0.2.10:3389;HOST:3389,*,rb+v0oPmEISmi8N2zK/vuhgul/ABqlDt6wW0VxMyxK8=,*,*,IuaRySSbPDNna4+2mKcsKxsbJFI=";
const TWO: &str = "<E><A KH=\"BNRjdu97DyczQSRuMRrDWoue+HA=\" ID=\"+ULZ6ifj\"/><C><T ID=\"1\" SID=\"0\">\
    <L P=\"49228\" N=\"fe80::1032%3\"/><L P=\"49230\" N=\"192.0.2.20\"/></T></C></E>";

fn address(host: &str, port: u16) -> Address {
    Address::read(host, &port.to_string()).unwrap()
}

fn one() -> Ticket {
    Ticket::One(StringOne {
        text: ONE.into(),
        addresses: vec![address("192.0.2.10", 3389), address("HOST", 3389)],
        session_id: "rb+v0oPmEISmi8N2zK/vuhgul/ABqlDt6wW0VxMyxK8=".into(),
        parameters: "IuaRySSbPDNna4+2mKcsKxsbJFI=".into(),
    })
}

fn two() -> Ticket {
    Ticket::Two(StringTwo {
        addresses: vec![address("fe80::1032%3", 49228), address("192.0.2.20", 49230)],
        id: "+ULZ6ifj".into(),
        key_hash: "BNRjdu97DyczQSRuMRrDWoue+HA=".into(),
        key_hash_2: None,
    })
}

fn file(more: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"Unicode\" ?>\r\n<UPLOADINFO TYPE=\"Escalated\"><UPLOADDATA \
         USERNAME=\"Ann &amp; Bob\" RCTICKET=\"{ONE}\" RCTICKETENCRYPTED=\"1\" DtStart=\"1314905741\" \
         DtLength=\"180\" {more} L=\"0\"/></UPLOADINFO>\r\n"
    )
}

fn whole(ticket: Ticket) -> Reading {
    Reading::Ticket {
        ticket,
        whole: true,
    }
}

fn utf16(text: &str, unit: fn(u16) -> [u8; 2], mark: [u8; 2]) -> Vec<u8> {
    let units = text.encode_utf16().flat_map(unit);
    mark.into_iter().chain(units).collect()
}

#[test]
fn every_shape_of_the_facts_sheet_is_recognised() {
    let upload = |asks_for_password, has_encrypted_ticket| {
        let Ticket::One(one) = one() else { panic!() };
        whole(Ticket::File(Upload {
            ticket: Some(one),
            has_encrypted_ticket,
            asks_for_password,
        }))
    };
    let stub = "PassStub=\"RT=0PvIndan52*\"";
    let text = file(stub);
    for (bytes, reading) in [
        (ONE.as_bytes().to_vec(), whole(one())),
        (format!(" {ONE}\r\n\0").into_bytes(), whole(one())),
        (format!("\u{feff}{ONE}").into_bytes(), whole(one())),
        (TWO.as_bytes().to_vec(), whole(two())),
        (
            format!("<?xml version=\"1.0\"?>\n{TWO}").into_bytes(),
            whole(two()),
        ),
        (text.clone().into_bytes(), upload(true, false)),
        (file("").into_bytes(), upload(false, false)),
        (file("LHTICKET=\"20B2\"").into_bytes(), upload(true, true)),
        (
            utf16(&text, u16::to_le_bytes, [0xff, 0xfe]),
            upload(true, false),
        ),
        (
            utf16(&text, u16::to_be_bytes, [0xfe, 0xff]),
            upload(true, false),
        ),
        (utf16(ONE, u16::to_le_bytes, [0xff, 0xfe]), whole(one())),
    ] {
        assert_eq!(read(&bytes), reading, "{}", bytes.escape_ascii());
    }
}

#[test]
fn the_vector_is_a_ticket_of_windows_xp() {
    let payload = include_bytes!("../../../tests/vectors/R4.msg");
    let message = Message::read(payload).unwrap();
    let mut messages = Messages::default();
    messages.push(message.get("Context-Data").unwrap());
    let Reading::Ticket { ticket, whole } = messages.read() else {
        panic!("{:?}", messages.read());
    };
    assert!(whole);
    assert_eq!(ticket.generation(), Generation::Xp);
    assert_eq!(ticket.generation().protocol(), 1);
    assert_eq!(ticket.session_id(), Some("QUJDRA=="));
    let addresses = [address("192.0.2.10", 3389), address("HOSTNAME", 3389)];
    assert_eq!(ticket.addresses(), addresses);
}

#[test]
fn what_may_go_on_is_told_from_what_is_whole() {
    let unpadded = "65538,1,192.0.2.10:3389,*,QUJD,*,*,QUJD";
    assert!(matches!(
        read(unpadded.as_bytes()),
        Reading::Ticket { whole: false, .. }
    ));
    // The end of what is whole is not searched for beyond it.
    for more in ["</E>", " 65538", "\r\n<E>"] {
        assert_eq!(read(format!("{TWO}{more}").as_bytes()), whole(two()));
    }
    assert_eq!(read(format!("{ONE} more").as_bytes()), whole(one()));
    for text in [
        "",
        "6",
        "65538",
        "65538,1",
        "65538,1,",
        "65538,1,1.2.3.4:5",
        "65538,1,1.2.3.4:5,*,QUJD,*,*,",
        "65538,1,1.2.3.4:5,*,QUJD,*,*,QUI",
        "65538,1,1.2.3.4:5,*,QUJD,*,*,QQ=",
        "<",
        "<E",
        "<E>",
        "<E><A",
        "<?",
        "<?xml",
        "<?xml version=\"1.0\"?",
        "<?xml?>",
        "<?xml?> <",
        "<?xml?><UPLOAD",
        "<UPLOADINFO TYPE=\"",
    ] {
        assert_eq!(read(text.as_bytes()), Reading::Unfinished, "{text}");
    }
}

#[test]
fn what_has_the_shape_and_is_none_is_told_apart() {
    let many = format!("<E>{}</E>", "<A/>".repeat(2000));
    let deep = format!("<E>{}</E>", "<a>".repeat(9000));
    for (text, fault) in [
        ("65538,1,1.2.3.4:5,*,QUJD,*,*,QUJD,x", Fault::Fields),
        ("65538,1,1.2.3.4:5,*,QUJD,*,x,QUJD", Fault::Star),
        ("65538,1,1.2.3.4:5,*,,*,*,QUJD", Fault::NotBase64),
        ("65538,1,1.2.3.4:5,*,\"QUJD,*,*,QUJD", Fault::NotBase64),
        ("65538,1,1.2.3.4:5,*,QUJD,*,*,<QUJD", Fault::NotBase64),
        (
            "65538,1,1.2.3.4;:5;x:0;y:65536;,*,QUJD,*,*,QUJD",
            Fault::NoAddress,
        ),
        (
            "65538,1,1.2.3.4:5,* x",
            Fault::Lacks("some of its eight fields"),
        ),
        ("<EVIL></EVIL>", Fault::Xml),
        ("<E></E>", Fault::Lacks("the element A")),
        ("<E><A KH='x' ID='y'/></E>", Fault::NoAddress),
        (
            "<E><A KH='x'/><C><T><L P='1' N='h'/></T></C></E>",
            Fault::Lacks("the session id"),
        ),
        (
            "<E><A ID='x'/><C><T><L P='1' N='h'/></T></C></E>",
            Fault::Lacks("the hash of the key"),
        ),
        ("<E><C></E>", Fault::Xml),
        ("<E><A KH='&x;' ID='y'/></E>", Fault::Xml),
        (
            "<?xml?><!DOCTYPE E [<!ENTITY x 'y'>]><E><A KH='&x;'/></E>",
            Fault::Xml,
        ),
        ("<UPLOADINFOX></UPLOADINFOX>", Fault::Xml),
        (
            "<UPLOADINFO></UPLOADINFO>",
            Fault::Lacks("the element UPLOADDATA"),
        ),
        (
            "<UPLOADINFO><UPLOADDATA RCTICKET='65538'/></UPLOADINFO>",
            Fault::Lacks("a ticket"),
        ),
        (&many, Fault::Xml),
        (&deep, Fault::Xml),
    ] {
        let reading = read(text.as_bytes());
        if text.contains("DOCTYPE") {
            assert_eq!(reading, Reading::Opaque(Look::Text));
        } else {
            assert_eq!(reading, Reading::Malformed(fault), "{text:.80}");
        }
    }
}

#[test]
fn what_is_no_ticket_is_told_by_its_look() {
    for (bytes, look, words) in [
        (&b"QUJDRA=="[..], Look::Base64(4), "base64 of 4 bytes"),
        (b"00ff10Ab", Look::Hex(4), "4 bytes in hexadecimal"),
        (b"hello there", Look::Text, "readable text, but no ticket"),
        (
            b"65537,1,1.2.3.4:5",
            Look::Text,
            "readable text, but no ticket",
        ),
        (b"<html>", Look::Text, "readable text, but no ticket"),
        (b"a\x01b", Look::Binary, "binary data"),
        (b"\x80\x81\x82", Look::Binary, "binary data"),
    ] {
        assert_eq!(read(bytes), Reading::Opaque(look));
        assert_eq!(look.to_string(), words);
    }
}

#[test]
fn a_flood_of_addresses_and_of_messages_is_cut() {
    let list = "192.0.2.1:1;".repeat(1000);
    let text = format!("65538,1,{list},*,QUJD,*,*,QUI=");
    let Reading::Ticket { ticket, .. } = read(text.as_bytes()) else {
        panic!()
    };
    assert_eq!(ticket.addresses().len(), MAX_ADDRESSES);
    let mut messages = Messages::default();
    for _ in 0..300 {
        messages.push(&[b'x'; 300]);
    }
    assert_eq!(messages.bytes().len(), MAX_TICKET);
}

proptest! {
    #[test]
    fn whatever_comes_is_read(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        piece in "[65538,1:;*<>E=/ \"'A-Z\u{e9}?!&\\[\\]]{0,60}",
        at in 0..4_usize,
    ) {
        let _ = read(&bytes);
        let begin = ["65538,1,", "<E", "<?xml", "<UPLOADINFO"][at];
        let _ = read(piece.as_bytes());
        let _ = read(&[begin.as_bytes(), piece.as_bytes(), &bytes].concat());
        let _ = read(&[&[0xff, 0xfe], &bytes[..]].concat());
    }

    #[test]
    fn any_cut_into_messages_gives_the_same_ticket(
        which in 0..6_usize,
        mut cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
        noise in "[ a-zA-Z0-9<=,]{0,9}",
    ) {
        let text = file("PassStub=\"RT=0PvIndan52*\"");
        let bytes = match which {
            0 => ONE.as_bytes().to_vec(),
            1 => TWO.as_bytes().to_vec(),
            2 => text.into_bytes(),
            3 => utf16(&text, u16::to_le_bytes, [0xff, 0xfe]),
            4 => format!("{TWO}{noise}").into_bytes(),
            _ => format!("{ONE}\n{noise}").into_bytes(),
        };
        let all = read(&bytes);
        prop_assert!(matches!(all, Reading::Ticket { whole: true, .. }), "{all:?}");
        let mut cuts: Vec<usize> = cuts.drain(..).map(|at| at.index(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let mut messages = Messages::default();
        let mut found = None;
        for pair in cuts.windows(2) {
            messages.push(&bytes[pair[0]..pair[1]]);
            // Who reads stops at the first prefix that is whole.
            match messages.read() {
                Reading::Ticket { ticket, whole: true } => found = found.or(Some(ticket)),
                Reading::Ticket { .. } | Reading::Unfinished => {}
                other => prop_assert!(false, "{other:?}"),
            }
        }
        let Reading::Ticket { ticket, .. } = all else { panic!() };
        prop_assert_eq!(found, Some(ticket));
    }
}
