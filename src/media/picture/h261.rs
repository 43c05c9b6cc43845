//! H.261 (RFC 4587): a header of four bytes before a piece of the stream that may end and begin in
//! the middle of a byte.

use super::{
    Malformed,
    bits::{Joint, field, window},
    continuity::{Begins, Continuity},
};
use crate::media::rtp::Packet;

/// The header (section 4.1), as far as it is of use here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header<'a> {
    sbit: u8,
    ebit: u8,
    /// Only blocks that need none before; so its sender says.
    pub(super) intra: bool,
    pub(super) data: &'a [u8],
}

pub(super) fn header(payload: &[u8]) -> Result<Header<'_>, Malformed> {
    let ([first, ..], data) = payload
        .split_first_chunk::<4>()
        .ok_or(Malformed("no H.261 header"))?;
    Ok(Header {
        sbit: first >> 5,
        ebit: (first >> 2) & 7,
        intra: first & 2 != 0,
        data,
    })
}

impl Header<'_> {
    /// A start code is 16 bits and stands anywhere in a byte; the number after it is a group's, or
    /// 0 for a picture (H.261 4.2.1.1, 4.2.2.1).
    pub(super) fn begins(&self) -> Begins {
        let window = window(self.data, self.sbit);
        match (field(window, 0, 16), field(window, 16, 4)) {
            (1, 0) => Begins::Picture,
            (1, _) => Begins::Part,
            _ => Begins::Nothing,
        }
    }
}

/// The stream being joined.
#[derive(Debug, Default)]
pub(super) struct Stream {
    joint: Joint,
    continuity: Continuity,
}

impl Stream {
    pub(super) fn take(&mut self, packet: &Packet<'_>) -> Result<Vec<u8>, Malformed> {
        let header = header(packet.payload)?;
        let begins = header.begins();
        if !(self.continuity).admits(packet.sequence, packet.timestamp, begins) {
            return Ok(Vec::new());
        }
        let joined = self.joint.join(header.data, header.sbit, header.ebit);
        joined.ok_or(Malformed("H.261 without data"))
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.joint.end().into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(sequence: u16, timestamp: u32, payload: &[u8]) -> Packet<'_> {
        Packet {
            payload_type: 31,
            marker: false,
            sequence,
            timestamp,
            source: 1,
            payload,
        }
    }

    #[test]
    fn pieces_are_joined_in_the_middle_of_a_byte() {
        let mut stream = Stream::default();
        // A picture that ends with half a byte, its second group, and the next picture.
        let first = [0x10, 0, 0, 0, 0x00, 0x01, 0x0a, 0xbf];
        let first = [&[(4 << 2) | 1, 0, 0, 0], &first[4..]].concat();
        let second = [(4 << 5) | 1, 0x20, 0, 0, 0xf0, 0x00, 0x12, 0xcc];
        let third = [1, 0, 0, 0, 0x00, 0x01, 0x0d];
        let mut out = stream.take(&packet(1, 9, &first)).unwrap();
        out.extend(stream.take(&packet(2, 9, &second)).unwrap());
        out.extend(stream.take(&packet(3, 18, &third)).unwrap());
        out.extend(stream.finish());
        assert_eq!(out, [0, 1, 0x0a, 0xb0, 0x00, 0x12, 0xcc, 0x00, 0x01, 0x0d]);
    }

    #[test]
    fn the_rest_of_a_group_whose_beginning_is_lost_is_left_out() {
        let mut stream = Stream::default();
        let picture = [1, 0, 0, 0, 0, 1, 0x0a];
        assert_eq!(stream.take(&packet(1, 9, &picture)).unwrap(), [0, 1, 0x0a]);
        assert_eq!(stream.take(&packet(3, 9, &[1, 0, 0, 0, 7])).unwrap(), b"");
        let group = [1, 0, 0, 0, 0, 1, 0x3a];
        assert_eq!(stream.take(&packet(4, 9, &group)).unwrap(), [0, 1, 0x3a]);
    }

    #[test]
    fn what_is_too_short_is_malformed() {
        for payload in [&[][..], &[1, 0, 0], &[1, 0, 0, 0]] {
            let mut stream = Stream::default();
            stream.continuity.admits(0, 0, Begins::Picture);
            assert!(stream.take(&packet(1, 0, payload)).is_err(), "{payload:?}");
        }
    }

    proptest! {
        #[test]
        fn no_payload_makes_it_panic_or_grow(
            packets in prop::collection::vec((0..20_u16, 0..3_u32, prop::collection::vec(any::<u8>(), 0..20)), 0..30)
        ) {
            let mut stream = Stream::default();
            for (sequence, timestamp, payload) in packets {
                if let Ok(out) = stream.take(&packet(sequence, timestamp, &payload)) {
                    prop_assert!(out.len() <= payload.len());
                }
            }
            prop_assert!(stream.finish().len() <= 1);
        }
    }
}
