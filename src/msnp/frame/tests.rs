use proptest::prelude::*;

use super::*;

/// Every item, `Raw` ones that follow each other joined.
fn split(from: Side, chunks: &[&[u8]]) -> (Vec<(char, Vec<u8>)>, Splitter) {
    let mut splitter = Splitter::new(from);
    let mut items: Vec<(char, Vec<u8>)> = Vec::new();
    for chunk in chunks {
        let mut input = *chunk;
        while let Some(item) = splitter.next(&mut input) {
            let kind = match item {
                Item::Line(_) => 'L',
                Item::Message { line, payload, .. } => {
                    assert_eq!([line, payload].concat(), item.bytes());
                    'M'
                }
                Item::Raw(_) => 'R',
            };
            match items.last_mut() {
                Some((last, bytes)) if kind == 'R' && *last == 'R' => bytes.extend(item.bytes()),
                _ => items.push((kind, item.bytes().to_vec())),
            }
        }
        assert!(input.is_empty());
    }
    (items, splitter)
}

const CLIENT: &[u8] = b"VER 1 MSNP8 CVR0\r\nMSG 2 N 5\r\na\r\nbcPNG\r\nADL 3 7\r\nx\nMSG 1OUT\r\n";

#[test]
fn a_stream_cut_at_every_byte_gives_the_same_items() {
    let (whole, _) = split(Side::Client, &[CLIENT]);
    let kinds: String = whole.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, "LMLLRL");
    for cut in 0..CLIENT.len() {
        let (head, tail) = CLIENT.split_at(cut);
        assert_eq!(split(Side::Client, &[head, tail]).0, whole, "cut at {cut}");
    }
    let bytes: Vec<&[u8]> = CLIENT.chunks(1).collect();
    let (single, splitter) = split(Side::Client, &bytes);
    assert_eq!(single, whole);
    assert!(splitter.at_boundary());
    assert!(!splitter.is_blind());
}

#[test]
fn payloads_follow_where_verb_and_last_word_say_so() {
    let rows: &[(&str, Side, &str)] = &[
        ("MSG 4 N 3", Side::Client, "ML"),
        ("MSG a@b A 3", Side::Server, "ML"),
        ("ADL 5 OK", Side::Server, "LL"),
        ("ADL 5 3", Side::Client, "LRL"),
        ("UUX 6 0", Side::Server, "LL"),
        ("QRY 7", Side::Server, "LL"),
        ("QRY 7 PROD 3", Side::Client, "LRL"),
        ("GCF 8 3", Side::Client, "LL"),
        ("GCF 8 Shields.xml 3", Side::Server, "LRL"),
        ("241 9 3", Side::Server, "LRL"),
        ("241 3", Side::Server, "LL"),
        ("217 3", Side::Server, "LL"),
        ("CAL 9 RINGING 3", Side::Server, "LL"),
        ("XXX 9 3", Side::Client, "LL"),
        ("NOT 3", Side::Server, "LRL"),
    ];
    for (line, from, kinds) in rows {
        let payload = if kinds.len() > 2 || kinds.starts_with('M') {
            "x\ny"
        } else {
            ""
        };
        let stream = format!("{line}\r\n{payload}PNG\r\n");
        let (items, _) = split(*from, &[stream.as_bytes()]);
        let got: String = items.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(got, *kinds, "{line}");
        assert_eq!(items.last().unwrap().1, b"PNG\r\n", "{line}");
    }
}

#[test]
fn a_payload_in_the_middle_is_no_boundary_but_a_held_line_is() {
    let rows: &[(&[u8], bool)] = &[
        (b"", true),
        (b"PNG\r\n", true),
        (b"PN", true),
        (b"MSG 1 N 9\r\nab", true),
        (b"ADL 1 9\r\nab", false),
        (b"ADL 1 2\r\nab", true),
        (b"MSG 1 N 9000\r\nab", false),
        (b"MSG 1 N 99999999999999999999999\r\nab", false),
    ];
    for (stream, boundary) in rows {
        let (_, splitter) = split(Side::Client, &[stream]);
        assert_eq!(
            splitter.at_boundary(),
            *boundary,
            "{}",
            stream.escape_ascii()
        );
    }
}

#[test]
fn a_long_message_streams_and_what_follows_is_found() {
    let mut stream = b"MSG 1 N 5000\r\n".to_vec();
    stream.resize(stream.len() + 5000, b'\n');
    stream.extend_from_slice(b"OUT\r\n");
    let (items, _) = split(Side::Client, &[&stream]);
    let got: Vec<(char, usize)> = items
        .iter()
        .map(|(kind, bytes)| (*kind, bytes.len()))
        .collect();
    assert_eq!(got, [('L', 14), ('R', 5000), ('L', 5)]);
}

#[test]
fn an_endless_line_passes_unread_and_is_not_kept() {
    for chunk in [1, 100, MAX_LINE, MAX_LINE + 1, 20_000] {
        let stream = vec![b'x'; 20_000];
        let chunks: Vec<&[u8]> = stream.chunks(chunk).collect();
        let (items, mut splitter) = split(Side::Server, &chunks);
        assert_eq!(items, [('R', stream.clone())], "chunks of {chunk}");
        assert!(!splitter.at_boundary());
        assert!(splitter.is_blind());
        assert!(splitter.take_held().is_empty());
    }
}

#[test]
fn what_was_held_is_given_back_at_the_end() {
    let (items, mut splitter) = split(Side::Client, &[b"OUT\r\nMSG 1 N 9\r\nabc"]);
    assert_eq!(items, [('L', b"OUT\r\n".to_vec())]);
    assert_eq!(splitter.take_held(), b"MSG 1 N 9\r\nabc");
}

proptest! {
    #[test]
    fn any_stream_in_any_pieces_comes_out_as_it_went_in(
        pieces in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                Just(b"MSG 1 N 7\r\n".to_vec()),
                Just(b"MSG a b 5000\r\n".to_vec()),
                Just(b"ADL 1 3\r\n".to_vec()),
                Just(b"\r\n".to_vec()),
                Just(vec![b'a'; 5000]),
            ],
            0..20,
        ),
        server in any::<bool>(),
    ) {
        let from = if server { Side::Server } else { Side::Client };
        let chunks: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let (items, mut splitter) = split(from, &chunks);
        let mut out: Vec<u8> = items.into_iter().flat_map(|(_, bytes)| bytes).collect();
        out.extend(splitter.take_held());
        prop_assert_eq!(out, pieces.concat());
    }
}
