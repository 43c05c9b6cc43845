//! H.263 of 1996 (RFC 2190): a header of 4, 8 or 12 bytes (mode A, B, C) before a piece of the
//! stream that may end and begin in the middle of a byte.

use super::{
    Malformed,
    bits::{Joint, field, window},
    continuity::{Begins, Continuity},
};
use crate::media::rtp::Packet;

/// The header (section 5), as far as it is of use here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header<'a> {
    sbit: u8,
    ebit: u8,
    pub(super) data: &'a [u8],
}

pub(super) fn header(payload: &[u8]) -> Result<Header<'_>, Malformed> {
    let first = payload.first().copied().unwrap_or_default();
    let (is_b_or_c, is_c) = (first & 0x80 != 0, first & 0x40 != 0);
    let length = match (is_b_or_c, is_c) {
        (false, _) => 4,
        (true, false) => 8,
        (true, true) => 12,
    };
    let data = payload
        .get(length..)
        .ok_or(Malformed("no H.263 header of RFC 2190"))?;
    Ok(Header {
        sbit: (first >> 3) & 7,
        ebit: first & 7,
        data,
    })
}

impl Header<'_> {
    /// A start code is 17 bits; the number after it is a group's, or 0 for a picture (H.263 5.1.1,
    /// 5.2.2). The mode does not tell: GStreamer begins a picture in mode B when its first group is
    /// cut.
    pub(super) fn begins(&self) -> Begins {
        let window = window(self.data, self.sbit);
        match (field(window, 0, 17), field(window, 17, 5)) {
            (1, 0) => Begins::Picture,
            (1, _) => Begins::Part,
            _ => Begins::Nothing,
        }
    }

    /// Whether the picture that begins here needs none before. The I bit of the header would tell,
    /// but Microsoft's has the opposite sense (APPLICATIONS.md 1.4), so the picture itself is asked
    /// (H.263 5.1.3, 5.1.4).
    pub(super) fn is_intra(&self) -> bool {
        let window = window(self.data, self.sbit);
        // Start code and number, temporal reference, and five bits of PTYPE.
        let source_format = field(window, 35, 3);
        if source_format != 7 {
            return field(window, 38, 1) == 0;
        }
        // PLUSPTYPE: with or without the part that says what seldom changes.
        let skip = if field(window, 38, 3) == 1 { 18 } else { 0 };
        field(window, 41 + skip, 3) == 0
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
        joined.ok_or(Malformed("H.263 without data"))
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
            payload_type: 34,
            marker: false,
            sequence,
            timestamp,
            source: 1,
            payload,
        }
    }

    #[test]
    fn pieces_of_every_mode_are_joined() {
        let mut stream = Stream::default();
        // Mode A ends after 3 bits of its last byte; B has the other 5 and 4 of the next; C the
        // rest.
        let a = [5, 0, 0, 0, 0x00, 0x00, 0x80, 0x02, 0xbf];
        let b = [0x80 | 3 << 3 | 4, 0, 0, 0, 0, 0, 0, 0, 0xe5, 0xcf];
        let c = [0xc0 | 4 << 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfd, 0xee];
        let mut out = stream.take(&packet(1, 9, &a)).unwrap();
        out.extend(stream.take(&packet(2, 9, &b)).unwrap());
        out.extend(stream.take(&packet(3, 9, &c)).unwrap());
        out.extend(stream.finish());
        assert_eq!(out, [0, 0, 0x80, 2, 0xa5, 0xcd, 0xee]);
    }

    #[test]
    fn after_a_loss_modes_b_and_c_are_left_out() {
        let mut stream = Stream::default();
        let picture = [0, 0, 0, 0, 0x00, 0x00, 0x80, 0x02];
        let inside = [0x80, 0, 0, 0, 0, 0, 0, 0, 0x12, 0x34, 0x56];
        let group = [0, 0, 0, 0, 0x00, 0x00, 0x84, 0x77];
        assert_eq!(stream.take(&packet(1, 9, &picture)).unwrap(), picture[4..]);
        assert_eq!(stream.take(&packet(3, 9, &inside)).unwrap(), b"");
        assert_eq!(stream.take(&packet(4, 9, &group)).unwrap(), group[4..]);
        // A group of the next picture, whose header is lost.
        assert_eq!(stream.take(&packet(6, 18, &group)).unwrap(), b"");
    }

    #[test]
    fn what_is_too_short_is_malformed() {
        for payload in [&[][..], &[0; 4], &[0x80, 0, 0, 0, 1], &[0xc0; 11]] {
            let mut stream = Stream::default();
            stream.continuity.admits(0, 0, Begins::Picture);
            assert!(stream.take(&packet(1, 0, payload)).is_err(), "{payload:?}");
        }
    }

    proptest! {
        #[test]
        fn no_payload_makes_it_panic_or_grow(
            packets in prop::collection::vec((0..20_u16, 0..3_u32, prop::collection::vec(any::<u8>(), 0..24)), 0..30)
        ) {
            let mut stream = Stream::default();
            for (sequence, timestamp, payload) in packets {
                if let Ok(out) = stream.take(&packet(sequence, timestamp, &payload)) {
                    prop_assert!(out.len() <= payload.len());
                }
                if let Ok(header) = header(&payload) {
                    let _ = (header.is_intra(), header.begins());
                }
            }
            prop_assert!(stream.finish().len() <= 1);
        }
    }
}
