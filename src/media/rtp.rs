//! The gate to RTP: what a datagram is, before anything is done with it. rtp-rs takes RTCP for RTP,
//! so the two are told apart first (RFC 5761 section 4; ANCHORS.md C.2); its types stay here. Also the writer
//! of our own packets, which are plain: no padding, extension or contributing sources, whose
//! builder calls panic on some values.

use rtp_rs::{RtpPacketBuilder, RtpReader};

/// What a datagram is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Datagram<'a> {
    /// RTP, with a header that holds.
    Rtp(Packet<'a>),
    /// RTCP, by its packet type; it may be a lone report (APPLICATIONS.md 1.4).
    Rtcp,
    /// Neither.
    Other,
}

/// An RTP packet (RFC 3550 section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Payload type, 0 to 127.
    pub payload_type: u8,
    /// The marker: the first packet of a talk spurt, the last one of a picture.
    pub marker: bool,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp, in units of the payload's clock.
    pub timestamp: u32,
    /// Source of the stream.
    pub source: u32,
    /// The payload, without padding.
    pub payload: &'a [u8],
}

/// Tells what a datagram is.
#[must_use]
pub fn read(datagram: &[u8]) -> Datagram<'_> {
    let [first, second, ..] = datagram else {
        return Datagram::Other;
    };
    if first >> 6 != 2 {
        return Datagram::Other;
    }
    // Packet types 192 to 223 are RTCP's; as RTP they would be a marker and types 64 to 95.
    if (192..=223).contains(second) {
        return Datagram::Rtcp;
    }
    match RtpReader::new(datagram) {
        Ok(reader) => Datagram::Rtp(Packet {
            payload_type: reader.payload_type(),
            marker: reader.mark(),
            sequence: reader.sequence_number().into(),
            timestamp: reader.timestamp(),
            source: reader.ssrc(),
            payload: reader.payload(),
        }),
        Err(_) => Datagram::Other,
    }
}

/// Writes a packet with a header of 12 bytes. `None` for a payload type over 127, or one that with
/// the marker would be taken for RTCP (64 to 95; RFC 5761 section 4).
#[must_use]
pub fn write(packet: &Packet<'_>) -> Option<Vec<u8>> {
    if (64..=95).contains(&packet.payload_type) {
        return None;
    }
    RtpPacketBuilder::new()
        .payload_type(packet.payload_type)
        .marked(packet.marker)
        .sequence(packet.sequence.into())
        .timestamp(packet.timestamp)
        .ssrc(packet.source)
        .payload(packet.payload)
        .build()
        .ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rtp_rtcp_and_the_rest_are_told_apart() {
        let rtp = [0x80, 0x80, 0, 7, 0, 0, 0, 160, 1, 2, 3, 4, 0xff, 0xfe];
        let packet = Packet {
            payload_type: 0,
            marker: true,
            sequence: 7,
            timestamp: 160,
            source: 0x0102_0304,
            payload: &[0xff, 0xfe],
        };
        assert_eq!(read(&rtp), Datagram::Rtp(packet));
        for (bytes, what) in [
            (&[0x80, 200, 0, 6][..], Datagram::Rtcp),
            (&[0x81, 203, 0, 1, 1, 2, 3, 4][..], Datagram::Rtcp),
            (&[0x80, 0, 0, 7][..], Datagram::Other),
            (
                &[0x40, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0][..],
                Datagram::Other,
            ),
            (b"OPTIONS sip:x SIP/2.0\r\n", Datagram::Other),
            (&[0x80][..], Datagram::Other),
            (&[][..], Datagram::Other),
        ] {
            assert_eq!(read(bytes), what, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }

        #[test]
        fn what_is_written_reads_back_or_is_refused(
            payload_type: u8,
            marker: bool,
            sequence: u16,
            timestamp: u32,
            source: u32,
            payload in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let packet = Packet {
                payload_type,
                marker,
                sequence,
                timestamp,
                source,
                payload: &payload,
            };
            match write(&packet) {
                Some(bytes) => {
                    prop_assert_eq!(bytes.len(), 12 + payload.len());
                    prop_assert_eq!(read(&bytes), Datagram::Rtp(packet));
                }
                None => prop_assert!(payload_type > 127 || (64..=95).contains(&payload_type)),
            }
        }
    }
}
