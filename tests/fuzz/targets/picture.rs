//! Any payloads, each behind its length, to the depacketiser of any picture: it makes of them no
//! more than a bounded multiple of what came.

#![no_main]

use libfuzzer_sys::fuzz_target;
use msn_handoff::media::{
    picture::{Coding, Depacketiser, begins_key_picture},
    rtp::Packet,
};

/// What a JPEG file has before its scan, at most: the tables are written anew for each picture.
const HEADER: usize = 1_500;

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, mut rest)) = bytes.split_first() else {
        return;
    };
    let codings = [Coding::Jpeg, Coding::H261, Coding::Mpv, Coding::H263];
    let coding = codings[usize::from(first) % codings.len()];
    let mut depacketiser = Depacketiser::new(coding);
    let mut sequence = u16::from(first) << 8;
    let mut made = 0;
    let mut packets = 0;
    // Length, how much later, what flags; then the payload.
    while let [length, low, flags, after @ ..] = rest {
        let length = usize::from(*length) | usize::from(*low & 7) << 8;
        let (payload, after) = after.split_at(length.min(after.len()));
        rest = after;
        packets += 1;
        sequence = sequence.wrapping_add(1 + u16::from(flags >> 6));
        let packet = Packet {
            payload_type: 0,
            marker: flags & 1 == 1,
            sequence,
            timestamp: u32::from(flags & 6),
            source: 1,
            payload,
        };
        let _ = begins_key_picture(coding, payload);
        made += depacketiser.take(&packet).map_or(0, |made| made.len());
        assert!(
            made <= bytes.len() + packets * HEADER,
            "{made} of {}",
            bytes.len()
        );
    }
    made += depacketiser.finish().len();
    assert!(made <= bytes.len() + (packets + 1) * HEADER);
});
