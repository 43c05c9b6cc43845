//! MPEG-1 and MPEG-2 video (RFC 2250): a header of four bytes, or eight, before whole bytes of the
//! elementary stream.

use super::{
    Malformed,
    continuity::{Begins, Continuity},
};
use crate::media::rtp::Packet;

/// The header (section 3.4), as far as it is of use here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header<'a> {
    /// A sequence header is in it.
    sequence_header: bool,
    /// The payload begins with a slice, or with headers before one.
    begins_slice: bool,
    /// 1 is a picture that needs none before.
    picture_type: u8,
    pub(super) data: &'a [u8],
}

pub(super) fn header(payload: &[u8]) -> Result<Header<'_>, Malformed> {
    let none = Malformed("no MPEG header of RFC 2250");
    let ([first, _, third, _], rest) = payload.split_first_chunk::<4>().ok_or(none)?;
    // T: another four bytes, of MPEG-2 only.
    let data = if first & 4 == 0 {
        Some(rest)
    } else {
        rest.get(4..)
    };
    Ok(Header {
        sequence_header: third & 0x20 != 0,
        begins_slice: third & 0x10 != 0,
        picture_type: third & 7,
        data: data.ok_or(none)?,
    })
}

impl Header<'_> {
    /// Start codes stand at whole bytes: 00 is a picture's, B3 a sequence's, B8 a group of
    /// pictures' (ISO 11172-2, 2.3).
    pub(super) fn begins(&self) -> Begins {
        match self.data {
            [0, 0, 1, 0x00 | 0xb3 | 0xb8, ..] => Begins::Picture,
            [0, 0, 1, 0x01..=0xaf, ..] => Begins::Part,
            _ if self.begins_slice => Begins::Part,
            _ => Begins::Nothing,
        }
    }

    /// Whether a decoder can begin here: it needs the sequence header, and then a picture that
    /// needs none before.
    pub(super) fn is_key(&self) -> bool {
        let has_sequence = self.sequence_header || matches!(self.data, [0, 0, 1, 0xb3, ..]);
        has_sequence && self.picture_type <= 1 && self.begins() == Begins::Picture
    }
}

/// The stream being joined.
#[derive(Debug, Default)]
pub(super) struct Stream {
    continuity: Continuity,
}

impl Stream {
    pub(super) fn take(&mut self, packet: &Packet<'_>) -> Result<Vec<u8>, Malformed> {
        let header = header(packet.payload)?;
        let begins = header.begins();
        if !(self.continuity).admits(packet.sequence, packet.timestamp, begins) {
            return Ok(Vec::new());
        }
        Ok(header.data.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(sequence: u16, timestamp: u32, payload: &[u8]) -> Packet<'_> {
        Packet {
            payload_type: 32,
            marker: false,
            sequence,
            timestamp,
            source: 1,
            payload,
        }
    }

    #[test]
    fn headers_go_and_the_stream_stays() {
        let mut stream = Stream::default();
        let first = [0, 0, 0x39, 0, 0, 0, 1, 0xb3, 7];
        let longer = [4, 0, 0x19, 0, 9, 9, 9, 9, 0, 0, 1, 5, 8];
        assert_eq!(stream.take(&packet(1, 9, &first)).unwrap(), first[4..]);
        assert_eq!(stream.take(&packet(2, 9, &longer)).unwrap(), longer[8..]);
        // One is lost: the rest of a slice is of no use, the next slice is.
        assert_eq!(stream.take(&packet(4, 9, &[0, 0, 1, 0, 6])).unwrap(), b"");
        let slice = [0, 0, 0x11, 0, 0, 0, 1, 7, 8];
        assert_eq!(stream.take(&packet(5, 9, &slice)).unwrap(), slice[4..]);
        for payload in [&[][..], &[0, 0, 0], &[4, 0, 0, 0, 9]] {
            assert!(stream.take(&packet(6, 9, payload)).is_err(), "{payload:?}");
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
                let _ = header(&payload).map(|header| header.is_key());
            }
        }
    }
}
