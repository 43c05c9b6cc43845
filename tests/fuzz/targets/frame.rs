//! Any bytes as the stream of either side, cut at any place: the items put together are the input,
//! and it does not matter in which pieces it came.

#![no_main]

use libfuzzer_sys::fuzz_target;
use msn_handoff::msnp::frame::{Item, MAX_LINE, MAX_WHOLE, Side, Splitter};

fuzz_target!(|bytes: &[u8]| {
    let Some((&how, stream)) = bytes.split_first() else {
        return;
    };
    let side = if how & 1 == 0 {
        Side::Client
    } else {
        Side::Server
    };
    let whole = split(side, stream, stream.len().max(1));
    let pieces = split(side, stream, usize::from(how >> 1) + 1);
    assert_eq!(whole.together, stream);
    assert_eq!(pieces.together, stream);
    assert_eq!(whole.commands, pieces.commands);
});

struct Split {
    together: Vec<u8>,
    /// Lines and whole messages; how a payload that streams is cut is nobody's business.
    commands: Vec<Vec<u8>>,
}

fn split(side: Side, stream: &[u8], piece: usize) -> Split {
    let mut splitter = Splitter::new(side);
    let mut split = Split {
        together: Vec::new(),
        commands: Vec::new(),
    };
    for mut input in stream.chunks(piece) {
        while let Some(item) = splitter.next(&mut input) {
            let longest = MAX_LINE + 1 + MAX_WHOLE as usize;
            assert!(item.bytes().len() <= longest || matches!(item, Item::Raw(_)));
            split.together.extend_from_slice(item.bytes());
            if let Item::Message {
                line,
                payload,
                whole,
            } = item
            {
                assert_eq!([line, payload].concat(), whole);
            }
            if !matches!(item, Item::Raw(_)) {
                split.commands.push(item.bytes().to_vec());
            }
        }
    }
    split.together.extend(splitter.take_held());
    split
}
